#include "train/gradient_reducer.h"

#include <cstring>
#include <utility>

#include "base/check.h"

namespace hearth::train {
namespace {

std::span<float> floats(const TensorView& flat, int64_t begin, int64_t count) {
  return {flat.as<float>() + begin, static_cast<size_t>(count)};
}

}  // namespace

GradientReducer::GradientReducer(Collective& collective, Parameters& parameters,
                                 const ShardPlan& plan, ZeroStage stage, const Clock& clock)
    : collective_(collective),
      parameters_(parameters),
      plan_(plan),
      stage_(stage),
      clock_(clock),
      ready_(plan.buckets.size()),
      done_(plan.buckets.size()) {
  if (collective.size() == 1) return;
  int64_t count = 0;
  for (const OwnedRange& range : plan.owned_by(collective.rank())) count += range.count();
  own_ = Tensor::zeros(DType::kF32, {count});
  for (const Bucket& bucket : plan.buckets) {
    local_.push_back(plan.local_begin(bucket, collective.rank()));
  }
  if (stage == ZeroStage::kTwo) {
    parameters.release_gradients(0, parameters.flat_gradient().shape.count());
  }
  thread_ = std::thread([this] { work(); });
}

GradientReducer::~GradientReducer() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void GradientReducer::clear() {
  busy_ = waited_ = 0;
  // In stage 2 they are zero since they were sent.
  if (collective_.size() == 1 || stage_ == ZeroStage::kOne) parameters_.clear_gradients();
  const size_t bytes = static_cast<size_t>(own_->shape.count()) * sizeof(float);
  if (collective_.size() > 1 && bytes > 0) std::memset(own_->data, 0, bytes);
}

void GradientReducer::start_round(const std::string& what) {
  if (collective_.size() == 1) return;
  const std::lock_guard lock(mutex_);
  what_ = what;
  ready_ = done_ = 0;
}

void GradientReducer::ready(int64_t from) {
  if (collective_.size() == 1) return;
  {
    const std::lock_guard lock(mutex_);
    while (ready_ < plan_.buckets.size() && plan_.buckets[ready_].begin >= from) ++ready_;
  }
  changed_.notify_all();
}

void GradientReducer::finish_round() {
  if (collective_.size() == 1) return;
  const Nanos begin = clock_.now();
  std::unique_lock lock(mutex_);
  CHECK(ready_ == plan_.buckets.size() || failure_, "{} of {} buckets are ready", ready_,
        plan_.buckets.size());
  changed_.wait(lock, [&] { return done_ == plan_.buckets.size() || failure_; });
  waited_ += clock_.now() - begin;
  if (failure_) std::rethrow_exception(failure_);
}

TensorView GradientReducer::gradients() const {
  return collective_.size() == 1 ? parameters_.flat_gradient() : own_.view();
}

void GradientReducer::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stop_ || (done_ < ready_ && !failure_); });
    if (stop_) return;
    const size_t bucket = done_;
    lock.unlock();
    std::exception_ptr failure;
    const Nanos begin = clock_.now();
    try {
      reduce(bucket);
    } catch (...) {
      failure = std::current_exception();
    }
    const Nanos took = clock_.now() - begin;
    lock.lock();
    busy_ += took;
    failure_ = failure;
    if (!failure) ++done_;
    changed_.notify_all();
  }
}

void GradientReducer::reduce(size_t index) {
  const Bucket& bucket = plan_.buckets[index];
  std::vector<Slice> slices = bucket.slices;
  int64_t own = 0;
  for (Slice& slice : slices) {
    slice.begin -= bucket.begin;
    slice.end -= bucket.begin;
    own += slice.owner == collective_.rank() ? slice.count() : 0;
  }
  const std::string what = fmt::format("{}gradients {}/{}", what_, index + 1, plan_.buckets.size());
  collective_.reduce_scatter(floats(parameters_.flat_gradient(), bucket.begin, bucket.count()),
                             slices, floats(own_, local_[index], own), what);
  if (stage_ == ZeroStage::kTwo) parameters_.release_gradients(bucket.begin, bucket.end);
}

}  // namespace hearth::train
