#include "forge/server/succession.h"

#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "forge/etcd/etcd_store.h"
#include "forge/etcd/leadership.h"

namespace hearth::forge {
namespace {

constexpr auto kLookForLeader = std::chrono::milliseconds(300);
constexpr auto kLetOthersTry = std::chrono::seconds(5);

// Everything that a reign stands on, so that requests which are under way when it ends may end too.
struct EtcdReign {
  EtcdReign(Leadership& leadership, const EtcdOptions& etcd, const ReignTerms& terms,
            LogStore& logs, const Clock& clock)
      : store(leadership, Etcd(etcd)),
        reign(store, store, logs, terms, clock, [&leadership](const Error& error) {
          log::warn("this server stops deciding: {}", error.what());
          leadership.end();
        }) {}

  EtcdStore store;
  Reign reign;
};

}  // namespace

Succession::Succession(EtcdOptions etcd, ReignTerms terms, LogStore& logs, const Clock& clock)
    : etcd_(std::move(etcd)), terms_(std::move(terms)), logs_(logs), clock_(clock) {}

Succession::~Succession() { stop(); }

void Succession::start(std::string url) {
  url_ = std::move(url);
  thread_ = std::thread([this] { run(); });
}

void Succession::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    if (leadership_) leadership_->end();
  }
  stopped_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Seat Succession::seat() const {
  const std::lock_guard lock(mutex_);
  // It may have slept through its end, and nobody has told it yet.
  if (leadership_ && leadership_->over()) return {};
  return seat_;
}

void Succession::publish(std::shared_ptr<Reign> reign, Leadership* leadership, std::string leader) {
  std::shared_ptr<Reign> before;  // goes outside of the lock
  const std::lock_guard lock(mutex_);
  before = std::exchange(seat_.reign, std::move(reign));
  seat_.leader = std::move(leader);
  leadership_ = leadership;
  if (leadership && stopping_) leadership->end();
}

// False: it is time to stop.
bool Succession::pause(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return !stopped_.wait_for(lock, time, [this] { return stopping_; });
}

void Succession::run() {
  Etcd etcd(etcd_);
  for (bool said = false;;) {
    std::chrono::milliseconds rest = kLookForLeader;
    try {
      if (look(etcd)) rest = std::chrono::milliseconds(0);
      said = false;
    } catch (const Error& error) {
      if (!said) log::warn("this server cannot decide: {}", error.what());
      said = true;
      if (error.code != ErrorCode::kUnavailable) rest = kLetOthersTry;
    }
    if (!pause(rest)) return;
  }
}

// True: it was this server's turn, and that is over.
bool Succession::look(Etcd& etcd) {
  const std::optional<std::string> holder = Leadership::holder(etcd);
  // This server's own key, of a life that ended without giving it back, leads nobody anywhere.
  const std::string leader = holder && *holder != url_ ? *holder : "";
  if (!leader.empty() && leader != seat().leader)
    log::info("another server decides url={}", leader);
  publish(nullptr, nullptr, leader);
  if (holder) return false;
  const std::unique_ptr<Leadership> leadership = Leadership::take(etcd_, url_, clock_);
  if (!leadership) return false;
  decide(*leadership);
  return true;
}

void Succession::decide(Leadership& leadership) {
  const Nanos begun = clock_.now();
  const auto all = std::make_shared<EtcdReign>(leadership, etcd_, terms_, logs_, clock_);
  log::info("this server decides jobs={} start_ms={}", all->reign.control.scheduler().jobs().size(),
            (clock_.now() - begun) / kMillisecond);
  all->reign.loop.start();
  publish({all, &all->reign}, &leadership, url_);
  leadership.wait_until_over();
  publish(nullptr, nullptr, "");
  // Its thread is the only one that knows the leadership: a request that is still being handed
  // over finds nobody who takes it up.
  all->reign.loop.stop();
  log::info("this server decides no longer");
}

}  // namespace hearth::forge
