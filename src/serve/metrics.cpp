#include "serve/metrics.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "base/check.h"
#include "serve/deployments/deployments.h"

namespace hearth::serve {

namespace {

constexpr double kLatencies[] = {0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02,
                                 0.025,  0.03,  0.04,  0.05,  0.06,  0.08,   0.1,  0.15,  0.2,
                                 0.25,   0.3,   0.4,   0.5,   0.75,  1,      1.5,  2,     2.5,
                                 5,      7.5,   10,    20,    40,    80,     160,  640,   2560};
constexpr double kTokens[] = {1,   2,    4,    8,    16,   32,    64,    128,   256,
                              512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072};

using Labels = std::vector<std::pair<std::string, std::string>>;

std::string escape(const std::string& value) {
  std::string out;
  for (const char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

// Writes families in the text exposition format, version 0.0.4.
class Exposition {
 public:
  explicit Exposition(const std::string& model) : model_{{"model_name", model}} {}

  void gauge(const char* name, const char* help, double value, const Labels& extra = {}) {
    head(name, help, "gauge");
    sample(name, with_model(extra), value);
  }

  void gauges(const char* name, const char* help,
              const std::vector<std::pair<Labels, int32_t>>& values) {
    head(name, help, "gauge");
    for (const auto& [labels, value] : values) sample(name, with_model(labels), value);
  }

  void counter(const char* name, const char* help, uint64_t value) {
    head(name, help, "counter");
    sample(name, model_, static_cast<double>(value));
  }

  void counters(const char* name, const char* help,
                const std::vector<std::pair<Labels, uint64_t>>& values) {
    head(name, help, "counter");
    for (const auto& [labels, value] : values) {
      sample(name, with_model(labels), static_cast<double>(value));
    }
  }

  void counters(const char* name, const char* help, const LabeledCounter& counter,
                const Labels& common) {
    head(name, help, "counter");
    for (const auto& [values, count] : counter.values()) {
      Labels labels = common;
      for (size_t i = 0; i < values.size(); ++i)
        labels.emplace_back(counter.labels()[i], values[i]);
      sample(name, labels, static_cast<double>(count));
    }
  }

  void histogram(const char* name, const char* help, const Histogram& histogram) {
    head(name, help, "histogram");
    const std::vector<uint64_t> counts = histogram.counts();
    uint64_t total = 0;
    for (size_t i = 0; i < counts.size(); ++i) {
      total += counts[i];
      const bool last = i == histogram.bounds().size();
      const std::string bound = last ? "+Inf" : fmt::format("{}", histogram.bounds()[i]);
      sample(fmt::format("{}_bucket", name), with_model({{"le", bound}}),
             static_cast<double>(total));
    }
    sample(fmt::format("{}_sum", name), model_, histogram.sum());
    sample(fmt::format("{}_count", name), model_, static_cast<double>(total));
  }

  // One sample for each deployment.
  template <typename Value>
  void of_deployments(const char* name, const char* help, const char* type,
                      std::span<const DeploymentStatus> all, Value value) {
    head(name, help, type);
    for (const DeploymentStatus& each : all) {
      const Deployment& one = each.deployment;
      sample(name,
             with_model({{"deployment", one.name},
                         {"tenant", one.tenant},
                         {"service_class", to_string(one.service_class)}}),
             static_cast<double>(value(each)));
    }
  }

  const Labels& model() const { return model_; }
  std::string take() { return std::move(out_); }

 private:
  Labels with_model(const Labels& extra) const {
    Labels labels = model_;
    labels.insert(labels.end(), extra.begin(), extra.end());
    return labels;
  }

  void head(const char* name, const char* help, const char* type) {
    out_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  }

  void sample(const std::string& name, const Labels& labels, double value) {
    out_ += name;
    char separator = '{';
    for (const auto& [label, text] : labels) {
      out_ += fmt::format("{}{}=\"{}\"", separator, label, escape(text));
      separator = ',';
    }
    out_ += fmt::format("{} {}\n", labels.empty() ? "" : "}", value);
  }

  const Labels model_;
  std::string out_;
};

double share_used(const engine::Stats& stats) {
  return stats.blocks_total > 0 ? static_cast<double>(stats.blocks_used) / stats.blocks_total : 0;
}

}  // namespace

const std::span<const double> kLatencyBounds = kLatencies;
const std::span<const double> kTokenBounds = kTokens;

Histogram::Histogram(std::span<const double> bounds)
    : bounds_(bounds), counts_(bounds.size() + 1) {}

void Histogram::observe(double value) {
  const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  counts_[static_cast<size_t>(bucket)].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

std::vector<uint64_t> Histogram::counts() const {
  std::vector<uint64_t> out;
  for (const auto& count : counts_) out.push_back(count.load(std::memory_order_relaxed));
  return out;
}

double Histogram::sum() const { return sum_.load(std::memory_order_relaxed); }

double quantile(std::span<const uint64_t> counts, std::span<const double> bounds, double share) {
  uint64_t total = 0;
  for (const uint64_t count : counts) total += count;
  if (total == 0) return -1;
  const double rank = share * static_cast<double>(total);
  double below = 0;
  for (size_t i = 0; i < bounds.size(); ++i) {
    const auto here = static_cast<double>(counts[i]);
    if (below + here >= rank && here > 0) {
      const double low = i == 0 ? 0 : bounds[i - 1];
      return low + (bounds[i] - low) * std::clamp((rank - below) / here, 0.0, 1.0);
    }
    below += here;
  }
  return bounds.back();
}

void LabeledCounter::add(const std::vector<std::string>& values, uint64_t by) {
  CHECK(values.size() == labels_.size(), "{} values for {} labels", values.size(), labels_.size());
  const std::lock_guard lock(mutex_);
  values_[values] += by;
}

std::map<std::vector<std::string>, uint64_t> LabeledCounter::values() const {
  const std::lock_guard lock(mutex_);
  return values_;
}

std::string Metrics::expose(const engine::Stats& stats, int http_connections, bool healthy,
                            const engine::EngineConfig& config, const AdapterTiers& tiers) const {
  Exposition out(model_name);
  out.gauge("hearth:num_requests_running", "Sequences that have a slot.", stats.running);
  out.gauge("hearth:num_requests_waiting", "Sequences that wait for a slot or for memory.",
            stats.waiting + stats.waiting_siblings);
  out.gauges(
      "hearth:num_requests_waiting_by_reason", "Those that wait, by for what.",
      {{{{"reason", "capacity"}}, stats.waiting + stats.waiting_siblings - stats.waiting_adapters},
       {{{"reason", "adapter"}}, stats.waiting_adapters}});
  out.gauge("hearth:num_requests_queued", "Requests without a first step.", stats.queued_requests);
  out.gauge("hearth:kv_cache_usage_perc", "Share of the KV cache held by sequences, 0 to 1.",
            share_used(stats));
  out.gauge("hearth:kv_cache_cached_blocks", "Free blocks whose contents can be found again.",
            stats.blocks_cached);
  out.gauge("hearth:cache_config_info", "Shape of the KV cache, as labels.", 1,
            {{"block_size", std::to_string(engine::kBlockTokens)},
             {"num_blocks", std::to_string(config.num_blocks)}});
  const engine::AdapterStats& adapters = stats.adapters;
  out.gauges("hearth:lora_adapters", "Adapters by where they are.",
             {{{{"tier", "memory"}}, adapters.resident},
              {{{"tier", "loading"}}, adapters.loading},
              {{{"tier", "mapped"}}, tiers.mapped},
              {{{"tier", "stored"}}, tiers.stored}});
  out.gauge("hearth:lora_adapters_running", "Adapters that requests hold.", adapters.used);
  out.gauge("hearth:lora_memory_usage_perc", "Share of the memory for adapters taken, 0 to 1.",
            adapters.pages_total > 0
                ? static_cast<double>(adapters.pages_taken) / adapters.pages_total
                : 0);
  out.gauge("hearth:engine_healthy", "1 while the last step succeeded.", healthy ? 1 : 0);
  out.gauge("hearth:http_connections", "Open HTTP connections.", http_connections);

  out.counter("hearth:prompt_tokens_total", "Prompt tokens of requests that were started.",
              stats.prompt_tokens_computed + stats.prompt_tokens_cached);
  out.counters("hearth:prompt_tokens_by_source_total", "Prompt tokens by where they came from.",
               {{{{"source", "local_compute"}}, stats.prompt_tokens_computed},
                {{{"source", "local_cache_hit"}}, stats.prompt_tokens_cached}});
  out.counter("hearth:generation_tokens_total", "Tokens generated.", stats.generation_tokens);
  out.counter("hearth:spec_decode_num_drafts_total", "Runs of tokens guessed and checked.",
              stats.guesses);
  out.counter("hearth:spec_decode_num_draft_tokens_total", "Tokens guessed and checked.",
              stats.tokens_guessed);
  out.counter("hearth:spec_decode_num_accepted_tokens_total", "Guessed tokens that were right.",
              stats.tokens_guessed_right);
  out.counter("hearth:tokens_recomputed_total", "Tokens computed again after a preemption.",
              stats.tokens_recomputed);
  out.counter("hearth:num_preemptions_total", "Sequences that lost their slot.", stats.preemptions);
  out.counter("hearth:prefix_cache_evictions_total", "Cached blocks given to somebody else.",
              stats.evictions);
  out.counters(
      "hearth:lora_requests_total", "Requests by where their adapter was.",
      {{{{"found", "memory"}}, adapters.hits}, {{{"found", "elsewhere"}}, adapters.misses}});
  out.counters("hearth:lora_loads_total", "Adapters brought into memory.",
               {{{{"result", "ordered"}}, adapters.loads},
                {{{"result", "failed"}}, adapters.load_failures}});
  out.counters("hearth:lora_evictions_total", "Adapters that left memory, by why.",
               {{{{"reason", "capacity"}}, adapters.evicted_for_room},
                {{{"reason", "unload"}}, adapters.evicted_by_unload}});
  out.counter("hearth:engine_steps_total", "Steps computed.", stats.steps);
  out.counter("hearth:engine_steps_abandoned_total",
              "Steps of batch work that were given up for somebody who came.",
              stats.steps_abandoned);
  out.counters("hearth:request_success_total", "Answers by why they ended.", request_success,
               out.model());
  out.counters("hearth:admission_rejections_total", "Requests refused before their first step.",
               admission_rejections, out.model());
  out.counters("hearth:streams_cut_total", "Answers that ended early, by reason.", streams_cut,
               out.model());

  const std::pair<const char*, const Histogram*> latencies[] = {
      {"hearth:time_to_first_token_seconds", &time_to_first_token_seconds},
      {"hearth:inter_token_latency_seconds", &inter_token_latency_seconds},
      {"hearth:request_time_per_output_token_seconds", &request_time_per_output_token_seconds},
      {"hearth:e2e_request_latency_seconds", &e2e_request_latency_seconds},
      {"hearth:request_queue_time_seconds", &request_queue_time_seconds},
      {"hearth:request_prefill_time_seconds", &request_prefill_time_seconds},
      {"hearth:request_decode_time_seconds", &request_decode_time_seconds},
      {"hearth:request_inference_time_seconds", &request_inference_time_seconds},
      {"hearth:step_time_seconds", &step_time_seconds},
      {"hearth:lora_load_time_seconds", &adapter_load_time_seconds},
  };
  for (const auto& [name, histogram] : latencies) out.histogram(name, "Seconds.", *histogram);
  const std::pair<const char*, const Histogram*> sizes[] = {
      {"hearth:request_prompt_tokens", &request_prompt_tokens},
      {"hearth:request_generation_tokens", &request_generation_tokens},
      {"hearth:request_params_n", &request_params_n},
      {"hearth:request_params_max_tokens", &request_params_max_tokens},
      {"hearth:iteration_tokens_total", &iteration_tokens_total},
  };
  for (const auto& [name, histogram] : sizes) out.histogram(name, "How many.", *histogram);
  out.counters("http_requests_total", "Requests by route, method and status.", http_requests, {});
  return out.take();
}

std::string Metrics::expose_deployments(std::span<const DeploymentStatus> all,
                                        const PtuCapacity& capacity) const {
  Exposition out(model_name);
  out.gauge("hearth:ptu_capacity", "PTU that this machine has; 0: not known.", capacity.total);
  out.gauge("hearth:ptu_sold", "PTU of all deployments.", capacity.sold);
  if (all.empty()) return out.take();
  const auto family = [&](const char* name, const char* help, const char* type, auto value) {
    out.of_deployments(name, help, type, all, value);
  };
  using Status = DeploymentStatus;
  family("hearth:deployment_ptu", "PTU that were bought.", "gauge",
         [](const Status& s) { return static_cast<double>(s.deployment.milli_ptu) / 1000; });
  family("hearth:deployment_utilization", "Of the purchased rate; refused from 1 on.", "gauge",
         [](const Status& s) { return s.utilization_permille / 1000.0; });
  family("hearth:deployment_used_ptu", "PTU used, over the last minute.", "gauge",
         [](const Status& s) { return s.used_ptu; });
  family("hearth:deployment_requests_running", "Requests that have had a step.", "gauge",
         [](const Status& s) { return s.running; });
  family("hearth:deployment_requests_waiting", "Requests that have had none.", "gauge",
         [](const Status& s) { return s.waiting; });
  family("hearth:deployment_requests_total", "Requests accepted.", "counter",
         [](const Status& s) { return s.requests; });
  family("hearth:deployment_requests_refused_total", "Requests over the purchased rate.", "counter",
         [](const Status& s) { return s.refused; });
  family("hearth:deployment_requests_spilled_total", "Requests over it that were standard work.",
         "counter", [](const Status& s) { return s.spilled; });
  family("hearth:deployment_prompt_tokens_total", "Prompt tokens.", "counter",
         [](const Status& s) { return s.prompt_tokens; });
  family("hearth:deployment_cached_tokens_total", "Prompt tokens found computed.", "counter",
         [](const Status& s) { return s.cached_tokens; });
  family("hearth:deployment_generation_tokens_total", "Tokens generated.", "counter",
         [](const Status& s) { return s.generated_tokens; });
  family("hearth:deployment_time_per_token_seconds_sum", "Seconds between tokens, summed up.",
         "counter", [](const Status& s) { return s.token_seconds; });
  family("hearth:deployment_time_per_token_seconds_count", "Tokens after the first of an answer.",
         "counter", [](const Status& s) { return s.token_gaps; });
  return out.take();
}

}  // namespace hearth::serve
