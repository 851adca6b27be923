#include "forge/etcd/leadership.h"

#include <chrono>

#include "base/error.h"
#include "base/log.h"

namespace hearth::forge {
namespace {

constexpr const char* kLeaderKey = "leader";
constexpr int64_t kRenewalsALease = 4;

}  // namespace

std::optional<std::string> Leadership::holder(Etcd& etcd) {
  const std::optional<EtcdRow> row = etcd.get(kLeaderKey);
  if (!row) return std::nullopt;
  return row->value;
}

std::unique_ptr<Leadership> Leadership::take(const EtcdOptions& options, const std::string& url,
                                             const Clock& clock) {
  Etcd etcd(options);
  const Nanos until = clock.now() + options.lease_s * kSecond;
  const int64_t lease = etcd.grant(options.lease_s);
  const EtcdOutcome taken =
      etcd.transact({.guards = {{kLeaderKey, 0, {}}}, .puts = {{kLeaderKey, url}}, .lease = lease});
  int64_t created = taken.revision;
  if (!taken.done) {
    // Perhaps by this very request, when it had to be sent twice.
    const std::optional<EtcdRow> row = etcd.get(kLeaderKey);
    if (!row || row->lease != lease) {
      etcd.revoke(lease);
      return nullptr;
    }
    created = row->created;
  }
  return std::unique_ptr<Leadership>(new Leadership(options, lease, created, until, clock));
}

Leadership::Leadership(EtcdOptions options, int64_t lease, int64_t created, Nanos until,
                       const Clock& clock)
    : options_(std::move(options)),
      lease_(lease),
      created_(created),
      clock_(clock),
      until_(until),
      compact_at_(clock.now() + options_.compact_ms * kMillisecond) {
  thread_ = std::thread([this] { keep(); });
}

Leadership::~Leadership() {
  end();
  thread_.join();
  try {
    Etcd(options_).revoke(lease_);
  } catch (const Error&) {
    // It runs out by itself.
  }
}

EtcdGuard Leadership::guard() const { return {kLeaderKey, created_, {}}; }

bool Leadership::over() const {
  if (clock_.now() >= until_) return true;
  const std::lock_guard lock(mutex_);
  return ended_;
}

void Leadership::end() {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

void Leadership::wait_until_over() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return ended_; });
}

void Leadership::keep() {
  Etcd etcd(options_);
  const auto pause = std::chrono::milliseconds(options_.lease_s * 1'000 / kRenewalsALease);
  for (bool good = true; good;) {
    {
      std::unique_lock lock(mutex_);
      if (changed_.wait_for(lock, pause, [this] { return ended_; })) return;
    }
    good = renew(etcd);
  }
  end();
}

bool Leadership::renew(Etcd& etcd) {
  const Nanos asked = clock_.now();
  try {
    const std::optional<int64_t> revision = etcd.keep_alive(lease_);
    if (!revision) return false;
    until_ = asked + options_.lease_s * kSecond;
    compact(etcd, *revision);
  } catch (const Error& error) {
    log::warn("the lease to decide was not renewed: {}", error.what());
  }
  return clock_.now() < until_;
}

// What is old is of no use to anybody here, and etcd keeps it until it is told.
void Leadership::compact(Etcd& etcd, int64_t revision) {
  if (clock_.now() < compact_at_) return;
  compact_at_ = clock_.now() + options_.compact_ms * kMillisecond;
  if (compact_to_ > 0) etcd.compact(compact_to_);
  compact_to_ = revision;
}

}  // namespace hearth::forge
