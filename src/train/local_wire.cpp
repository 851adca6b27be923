#include "train/local_wire.h"

#include <cstring>

#include "base/check.h"
#include "base/error.h"

namespace hearth::train {

LocalWire::~LocalWire() {
  const std::lock_guard lock(hub_.mutex_);
  if (hub_.gone_ < 0) hub_.gone_ = rank_;  // the first is the cause
  hub_.all_arrived_.notify_all();
}

// Returns when all ranks came.
void LocalHub::meet(std::unique_lock<std::mutex>& lock) {
  const int64_t meeting = meetings_;
  if (++arrived_ == size()) {
    arrived_ = 0;
    ++meetings_;
    all_arrived_.notify_all();
    return;
  }
  all_arrived_.wait(lock, [&] { return meetings_ != meeting || gone_ >= 0; });
  if (meetings_ == meeting) {
    throw_error(ErrorCode::kUnavailable, "training", "rank {} is gone", gone_);
  }
}

void LocalWire::exchange(std::span<const Outgoing> out, std::span<const Incoming> in,
                         std::string_view what) {
  std::unique_lock lock(hub_.mutex_);
  hub_.posts_[static_cast<size_t>(rank_)] = {out, std::string(what)};
  hub_.meet(lock);
  std::vector<size_t> next(static_cast<size_t>(size()), 0);  // parcel of each sender
  for (const Incoming& incoming : in) {
    const LocalHub::Post& post = hub_.posts_[static_cast<size_t>(incoming.from)];
    CHECK(post.what == what, "rank {} is at '{}', rank {} at '{}'", incoming.from, post.what, rank_,
          what);
    size_t& at = next[static_cast<size_t>(incoming.from)];
    while (at < post.out.size() && post.out[at].to != rank_) ++at;
    CHECK(at < post.out.size(), "rank {} sends too little at '{}'", incoming.from, what);
    const std::span<const std::byte> bytes = post.out[at++].bytes;
    CHECK(bytes.size() == incoming.bytes.size(), "{} bytes for {} at '{}'", bytes.size(),
          incoming.bytes.size(), what);
    if (!bytes.empty()) std::memcpy(incoming.bytes.data(), bytes.data(), bytes.size());
  }
  hub_.meet(lock);
}

}  // namespace hearth::train
