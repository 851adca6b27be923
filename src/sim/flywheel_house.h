// Tenants with contracts on one engine, and what each of them gets: the real scheduler and the real
// buckets under a load of random requests. The runner and the clock come from outside: a server of
// a data centre in virtual time, or the CPU.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "engine/rate_bucket.h"
#include "engine/scheduler.h"

namespace hearth::sim {

struct FlywheelTenant {
  std::string name;
  engine::ServiceClass service_class = engine::ServiceClass::kProvisioned;
  engine::Cost rate = 0;  // bought a minute; of who bought nothing: what load is a multiple of
  int32_t prompt_tokens = 1000;
  int32_t generated_tokens = 200;
  double load = 1;  // arrivals, as a multiple of what was bought
};

// Of one stretch of time.
struct FlywheelShare {
  std::string name;
  engine::Cost bought = 0;  // a minute
  double delivered = 0;     // cost a minute
  double prompt_per_minute = 0;
  double generated_per_minute = 0;
  double time_per_token_ms = 0;  // mean of the gaps between tokens
  double itl_p50_ms = 0;
  double itl_p99_ms = 0;
  double ttft_p50_ms = 0;
  double ttft_p99_ms = 0;
  int64_t accepted = 0;
  int64_t refused = 0;
};

class FlywheelHouse {
 public:
  struct Parts {
    engine::EngineConfig config;  // with costs and prices
    engine::Runner& runner;
    const Clock& clock;
    // Nothing is to be done before then.
    std::function<void(Nanos)> idle_until;
    int32_t vocabulary = 32'000;
    // Lengths vary by this share around their mean.
    double spread = 0.3;
    // Of the buckets: what was bought in so long may be taken at once.
    Nanos bucket_window = 10 * kSecond;
    uint64_t seed = 1;
  };

  // What `parts` names outlives the house.
  explicit FlywheelHouse(const Parts& parts);

  // The number by which the others name it.
  size_t add(const FlywheelTenant& tenant);
  // From now on.
  void set_rate(size_t tenant, engine::Cost rate);
  void set_load(size_t tenant, double load);

  // Runs until that much time has passed.
  void run(Nanos duration);
  // What came since the last call, by tenant.
  std::vector<FlywheelShare> take();
  // Time of the steps since the last take(), in ms.
  const std::vector<float>& step_times() const { return step_times_; }
  const engine::Scheduler& scheduler() const { return scheduler_; }

 private:
  struct Live {
    size_t tenant = 0;
    engine::Cost estimated = 0;
    Nanos arrived = 0;
    Nanos last_token = 0;
    int32_t prompt_tokens = 0;
    int32_t computed = 0;  // of the prompt, counted
    int32_t generated = 0;
  };
  struct Tenant {
    FlywheelTenant spec;
    engine::RateBucket bucket;
    Nanos next_arrival = 0;
    engine::Cost delivered = 0;
    int64_t prompt = 0, generated = 0, accepted = 0, refused = 0;
    double gaps = 0;  // seconds
    std::vector<float> itl, ttft;
  };

  int32_t length_around(int32_t mean);
  void schedule_arrival(Tenant& tenant, Nanos from);
  void arrive(size_t index);
  void submit(size_t index, int32_t prompt_tokens, int32_t generated_tokens,
              engine::Cost estimated);
  Nanos next_arrival() const;
  void step();
  void count_prompts(const engine::StepPlan& plan);
  void hear(const engine::Output& output, Nanos now);

  const Parts parts_;
  engine::Scheduler scheduler_;
  Random random_;
  std::vector<Tenant> tenants_;
  std::map<engine::RequestId, Live> live_;
  std::vector<float> step_times_;
  engine::RequestId last_id_ = 0;
  Nanos taken_at_ = 0;
};

// Quantile of values in any order; 0 without any.
double quantile(std::vector<float> values, double share);

}  // namespace hearth::sim
