#include "serve/deployments/deployment_line.h"

#include <algorithm>
#include <utility>

#include "flywheel/ptu.h"

namespace hearth::serve {
namespace {

using engine::Cost;

// A deployment may take what it bought in so long at once.
constexpr Nanos kWindow = 10 * kSecond;
constexpr size_t kMarksKept = 61;
// What an answer is taken to be while nobody has said and none has come.
constexpr double kFirstOutput = 256;
constexpr double kOutputMemory = 16;

// Buckets of those who bought nothing are never looked at.
Cost rate_of(const Deployment& deployment) {
  return std::max<Cost>(flywheel::rate_of(deployment.milli_ptu), 1);
}

int64_t units_of(Cost cost) { return cost / engine::kCostPerUnit; }

}  // namespace

// Counts what becomes of one prompt, and settles with the bucket when the request is gone. The
// engine's thread, and whoever lets go of it last.
class DeploymentLine::Meter final : public RequestMeter {
 public:
  Meter(std::shared_ptr<DeploymentLine> line, const engine::Request& prompt,
        const engine::TokenPrices& prices, Cost poured)
      : line_(std::move(line)),
        prices_(prices),
        adapter_(prompt.adapter),
        prompt_tokens_(static_cast<int32_t>(prompt.prompt.size())),
        poured_(poured),
        last_token_(static_cast<size_t>(prompt.choices)),
        generated_(static_cast<size_t>(prompt.choices)) {
    ++line_->counts_.waiting;
  }

  ~Meter() override {
    const std::lock_guard lock(line_->mutex_);
    DeploymentLine& line = *line_;
    --(started_ ? line.counts_.running : line.counts_.waiting);
    if (started_ && !told_) charge(prices_.of_prompt(0, prompt_tokens_, adapter_));
    line.bucket_.correct(poured_, poured_ > 0 ? charged_ : 0, line.clock_.now());
    for (const int32_t generated : generated_) {
      if (generated == 0) continue;
      line.usual_output_ += (generated - line.usual_output_) / kOutputMemory;
    }
  }

  void on_first_step() override {
    const std::lock_guard lock(line_->mutex_);
    started_ = true;
    --line_->counts_.waiting;
    ++line_->counts_.running;
  }

  void on_output(const engine::Output& output, Nanos now) override {
    const std::lock_guard lock(line_->mutex_);
    if (!std::exchange(told_, true)) count_prompt(output.usage.cached_tokens);
    const auto count = static_cast<int32_t>(output.tokens.size());
    if (count == 0) return;
    const auto choice = static_cast<size_t>(output.choice);
    charge(prices_.of_tokens(prompt_tokens_ + generated_[choice], count, adapter_));
    line_->counts_.generated_tokens += static_cast<uint64_t>(count);
    if (generated_[choice] > 0) {
      line_->counts_.token_seconds += static_cast<double>(now - last_token_[choice]) / kSecond;
      line_->counts_.token_gaps += static_cast<uint64_t>(count);
    }
    generated_[choice] += count;
    last_token_[choice] = now;
  }

 private:
  void count_prompt(int32_t cached) {
    line_->counts_.prompt_tokens += static_cast<uint64_t>(prompt_tokens_);
    line_->counts_.cached_tokens += static_cast<uint64_t>(cached);
    charge(prices_.of_prompt(cached, prompt_tokens_, adapter_));
  }

  void charge(Cost cost) {
    charged_ += cost;
    line_->used_ += cost;
  }

  const std::shared_ptr<DeploymentLine> line_;
  const engine::TokenPrices prices_;
  const engine::AdapterId adapter_;
  const int32_t prompt_tokens_;
  const Cost poured_;
  Cost charged_ = 0;
  bool started_ = false;
  bool told_ = false;
  std::vector<Nanos> last_token_;   // by choice
  std::vector<int32_t> generated_;  // likewise
};

DeploymentLine::DeploymentLine(Deployment deployment, const Clock& clock)
    : clock_(clock),
      deployment_(std::move(deployment)),
      bucket_(rate_of(deployment_), kWindow, clock.now()),
      usual_output_(kFirstOutput) {
  marks_.push_back({clock.now(), {}, 0});
}

Deployment DeploymentLine::deployment() const {
  const std::lock_guard lock(mutex_);
  return deployment_;
}

void DeploymentLine::change(const Deployment& deployment) {
  const std::lock_guard lock(mutex_);
  deployment_ = deployment;
  bucket_.set_rate(rate_of(deployment), clock_.now());
}

Cost DeploymentLine::estimate(const engine::Request& prompt,
                              const engine::TokenPrices& prices) const {
  const auto length = static_cast<int32_t>(prompt.prompt.size());
  const auto usual = static_cast<int32_t>(usual_output_);
  const int32_t output = prompt.pooling != engine::Pooling::kNone    ? 0
                         : prompt.max_tokens == engine::kAsManyAsFit ? usual
                                                                     : prompt.max_tokens;
  return prices.of_prompt(0, length, prompt.adapter) +
         prompt.choices * prices.of_tokens(length, output, prompt.adapter);
}

void DeploymentLine::describe(Placement& placement, Nanos now) {
  placement.name = deployment_.name;
  placement.deployment = deployment_.number;
  placement.service_class = deployment_.service_class;
  placement.provisioned = provisioned();
  if (!placement.provisioned) return;
  placement.utilization_permille = bucket_.utilization_permille(now);
  placement.limit_units = units_of(bucket_.rate_per_minute());
  const int32_t free_permille = std::max(1000 - placement.utilization_permille, 0);
  placement.remaining_units = placement.limit_units * free_permille / 1000;
  placement.full_in = kWindow * placement.utilization_permille / 1000;
}

Placement DeploymentLine::place(std::span<const engine::Request> prompts,
                                const engine::TokenPrices& prices) {
  const std::lock_guard lock(mutex_);
  const Nanos now = clock_.now();
  Placement placement;
  const Nanos wait = provisioned() ? bucket_.wait(now) : 0;
  placement.spilled = wait > 0 && deployment_.spillover == Spillover::kStandard;
  if (wait > 0 && !placement.spilled) {
    placement.retry_after = wait;
    ++counts_.refused;
    describe(placement, now);
    return placement;
  }
  counts_.requests += prompts.size();
  if (placement.spilled) ++counts_.spilled;
  for (const engine::Request& prompt : prompts) {
    const Cost poured = provisioned() && !placement.spilled ? estimate(prompt, prices) : 0;
    if (poured > 0) bucket_.add(poured, now);
    placement.meters.push_back(std::make_shared<Meter>(shared_from_this(), prompt, prices, poured));
  }
  describe(placement, now);
  if (placement.spilled) placement.service_class = engine::ServiceClass::kStandard;
  return placement;
}

DeploymentStatus DeploymentLine::status() const {
  const std::lock_guard lock(mutex_);
  const Nanos now = clock_.now();
  DeploymentStatus status = counts_;
  status.deployment = deployment_;
  const auto unit = static_cast<double>(flywheel::rate_of(flywheel::kMilli));
  status.ptu_minutes = static_cast<double>(used_) / unit;
  if (provisioned()) status.utilization_permille = bucket_.utilization_permille(now);
  const Mark& then = marks_.front();
  const double minutes = static_cast<double>(now - then.at) / (60.0 * kSecond);
  if (minutes <= 0) return status;
  const auto rate = [&](uint64_t to, uint64_t from) {
    return static_cast<double>(to - from) / minutes;
  };
  status.prompt_tokens_per_minute = rate(counts_.prompt_tokens, then.counts.prompt_tokens);
  status.generated_tokens_per_minute = rate(counts_.generated_tokens, then.counts.generated_tokens);
  status.used_ptu = static_cast<double>(used_ - then.used) / minutes / unit;
  const uint64_t gaps = counts_.token_gaps - then.counts.token_gaps;
  const double seconds = counts_.token_seconds - then.counts.token_seconds;
  status.time_per_token_ms = gaps > 0 ? seconds / static_cast<double>(gaps) * 1e3 : 0;
  return status;
}

void DeploymentLine::tick() {
  const std::lock_guard lock(mutex_);
  marks_.push_back({clock_.now(), counts_, used_});
  if (marks_.size() > kMarksKept) marks_.pop_front();
}

}  // namespace hearth::serve
