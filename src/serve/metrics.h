// Everything that is measured, in Prometheus' text format. Names follow vLLM's with the prefix
// `hearth:`. Any thread may count; counting is a few atomic additions.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "engine/stats.h"
#include "serve/adapter_host.h"

namespace hearth::serve {

class Histogram {
 public:
  // `bounds` must outlive this.
  explicit Histogram(std::span<const double> bounds);
  void observe(double value);
  // counts[i] of values <= bounds[i]; the last of values above all. Not cumulative.
  std::vector<uint64_t> counts() const;
  std::span<const double> bounds() const { return bounds_; }
  double sum() const;

 private:
  std::span<const double> bounds_;
  std::vector<std::atomic<uint64_t>> counts_;
  std::atomic<double> sum_{0};
};

// The value below which `share` of the observations lie, between the bounds of its bucket. Nothing
// observed gives a negative number.
double quantile(std::span<const uint64_t> counts, std::span<const double> bounds, double share);

class Counter {
 public:
  void add(uint64_t by = 1) { value_.fetch_add(by, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// One counter for each set of label values that was seen.
class LabeledCounter {
 public:
  explicit LabeledCounter(std::vector<std::string> labels) : labels_(std::move(labels)) {}
  void add(const std::vector<std::string>& values, uint64_t by = 1);
  const std::vector<std::string>& labels() const { return labels_; }
  std::map<std::vector<std::string>, uint64_t> values() const;

 private:
  const std::vector<std::string> labels_;
  mutable std::mutex mutex_;
  std::map<std::vector<std::string>, uint64_t> values_;
};

// Latencies from a tenth of a millisecond to most of an hour.
extern const std::span<const double> kLatencyBounds;
extern const std::span<const double> kTokenBounds;

struct DeploymentStatus;
struct PtuCapacity;

struct Metrics {
  explicit Metrics(std::string model) : model_name(std::move(model)) {}

  const std::string model_name;
  Histogram time_to_first_token_seconds{kLatencyBounds};
  Histogram inter_token_latency_seconds{kLatencyBounds};
  Histogram request_time_per_output_token_seconds{kLatencyBounds};
  Histogram e2e_request_latency_seconds{kLatencyBounds};
  Histogram request_queue_time_seconds{kLatencyBounds};
  Histogram request_prefill_time_seconds{kLatencyBounds};
  Histogram request_decode_time_seconds{kLatencyBounds};
  Histogram request_inference_time_seconds{kLatencyBounds};
  Histogram request_prompt_tokens{kTokenBounds};
  Histogram request_generation_tokens{kTokenBounds};
  Histogram request_params_n{kTokenBounds};
  Histogram request_params_max_tokens{kTokenBounds};
  Histogram iteration_tokens_total{kTokenBounds};
  Histogram step_time_seconds{kLatencyBounds};
  Histogram adapter_load_time_seconds{kLatencyBounds};
  LabeledCounter request_success{{"finished_reason"}};
  LabeledCounter admission_rejections{{"reason"}};
  LabeledCounter http_requests{{"handler", "method", "status"}};
  LabeledCounter streams_cut{{"reason"}};

  // `http_connections` and `healthy` are of now; the rest comes from the engine's own numbers.
  std::string expose(const engine::Stats& stats, int http_connections, bool healthy,
                     const engine::EngineConfig& config, const AdapterTiers& tiers) const;
  // What stands below that: the contracts.
  std::string expose_deployments(std::span<const DeploymentStatus> all,
                                 const PtuCapacity& capacity) const;
};

}  // namespace hearth::serve
