// What those who generate notice of long prompts, and what those pay for it: the scheduler against
// machines in virtual time, whose steps cost what real ones do. Weights are read once a step, which
// hides the arithmetic of the first rows; attention grows with the tokens before.
#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <utility>

#include "engine/scheduler_test_support.h"

namespace hearth::engine {
namespace {

struct Machine {
  const char* name;
  Nanos weights;    // to read all of them
  Nanos row;        // arithmetic of a row
  Nanos attention;  // of a row, for each token before it

  Nanos time(const StepWork& work) const {
    const Nanos rows = row * (work.prompt_tokens + work.generating);
    return std::max(weights, rows) + attention * (work.prompt_context + work.generating_context);
  }
};
// About what a model of 1 B weights in 8 bits takes on two cores, one of 0.1 B, and one whose
// attention outweighs all else.
constexpr Machine kMachines[] = {{"1 B", 28 * kMillisecond, 1700 * kMicrosecond, 650},
                                 {"0.1 B", 3 * kMillisecond, 200 * kMicrosecond, 100},
                                 {"long", 5 * kMillisecond, 100 * kMicrosecond, 250}};

constexpr int32_t kStreams = 8, kLongPrompt = 4096;

// Eight who generate, and prompts that come one after the other.
class Mix {
 public:
  Mix(const Machine& machine, int32_t stretch_permille)
      : machine_(machine), engine_(config(stretch_permille)) {
    for (RequestId id = 1; id <= kStreams; ++id) engine_.add(make_request(id, 64, 4000));
    for (int i = 0; i < 40; ++i) step();
  }

  void send_prompts(int count) {
    stretches_.clear();
    const Nanos begin = engine_.now;
    for (int i = 0; i < count; ++i) {
      engine_.add(make_request(++last_, kLongPrompt, 1));
      for (long_done_ = false; !long_done_;) step();
    }
    prompt_time_ = (engine_.now - begin) / count;
  }

  // Of the steps: how long each was, per thousand of what it would have taken without prompts.
  int64_t stretch(size_t permille) {
    std::sort(stretches_.begin(), stretches_.end());
    return stretches_[stretches_.size() * permille / 1000];
  }
  Engine& engine() { return engine_; }
  // From its arrival to its token.
  Nanos prompt_time() const { return prompt_time_; }
  // The same with the machine for itself.
  Nanos prompt_time_alone() const {
    const int64_t context = context_of(0, kLongPrompt);
    return machine_.row * kLongPrompt + machine_.attention * context;
  }

 private:
  static EngineConfig config(int32_t stretch_permille) {
    EngineConfig config;
    config.num_blocks = 4096;
    config.max_model_len = 4400;
    config.max_num_batched_tokens = 512;
    config.step_time_target = 100 * kMillisecond;
    config.step_stretch_permille = stretch_permille;
    config.prefix_caching = false;
    return config;
  }

  void step() {
    const StepPlan& plan = engine_.plan();
    const StepResult result = Engine::answer(plan);
    StepWork alone = plan.work;
    alone.prompt_tokens = 0;
    alone.prompt_context = 0;
    const Nanos took = machine_.time(plan.work);
    stretches_.push_back(took * 1000 / machine_.time(alone));
    engine_.now += took;
    for (const Output& output : engine_.scheduler.commit(result, engine_.now)) {
      if (output.request > kStreams) long_done_ = true;
    }
  }

  const Machine machine_;
  Engine engine_;
  std::vector<int64_t> stretches_;
  RequestId last_ = 100;
  bool long_done_ = false;
  Nanos prompt_time_ = 0;
};

TEST(Pace, PromptsStretchStepsAsFarAsToldAndNoFurther) {
  for (const Machine& machine : kMachines) {
    for (const int32_t told : {1500, 1750, 2000}) {
      Mix mix(machine, told);
      mix.send_prompts(6);
      EXPECT_GT(mix.stretch(500), told * 9 / 10) << machine.name << " at " << told;
      EXPECT_LT(mix.stretch(990), told * 11 / 10) << machine.name << " at " << told;
    }
  }
}

// Rows of prompts ride along with weights that generation reads anyway.
TEST(Pace, APromptPaysLittleMoreThanTheRowsOfThoseWhoGenerate) {
  for (const Machine& machine : {kMachines[0], kMachines[1]}) {
    Mix mix(machine, 1750);
    mix.send_prompts(4);
    EXPECT_LT(mix.prompt_time(), mix.prompt_time_alone() * 7 / 4) << machine.name;
  }
}

// The gaps between the tokens of eight streams that begin together, as clients see them.
std::vector<Nanos> gaps(Engine& engine, const Machine& machine, RequestId first, int32_t tokens,
                        int32_t long_prompts) {
  std::map<RequestId, Nanos> last;
  std::vector<Nanos> gaps;
  RequestId next_long = first + kStreams;
  const RequestId end_long = next_long + static_cast<RequestId>(long_prompts);
  for (RequestId id = first; id < next_long; ++id) engine.add(make_request(id, 64, tokens));
  if (long_prompts > 0) engine.add(make_request(next_long++, kLongPrompt, 1));
  for (int32_t ended = 0; ended < kStreams;) {
    const StepPlan& plan = engine.plan();
    const StepResult result = Engine::answer(plan);
    engine.now += machine.time(plan.work);
    for (const Output& output : engine.scheduler.commit(result, engine.now)) {
      if (output.request >= first + kStreams) {
        if (next_long < end_long) engine.add(make_request(next_long++, kLongPrompt, 1));
        continue;
      }
      const auto [at, begins] = last.try_emplace(output.request, engine.now);
      if (!begins) gaps.push_back(engine.now - std::exchange(at->second, engine.now));
      ended += output.request_done;
    }
  }
  std::sort(gaps.begin(), gaps.end());
  return gaps;
}

// From the first prompt on, also while all of them are new to the engine.
TEST(Pace, StreamsThatBeginWithLongPromptsWaitNoLonger) {
  for (const Machine& machine : {kMachines[0], kMachines[1]}) {
    Mix mix(machine, 1750);
    Engine& engine = mix.engine();
    for (RequestId id = 1; id <= kStreams; ++id) engine.scheduler.cancel(id);
    const auto alone = gaps(engine, machine, 1000, 64, 0);
    for (RequestId round = 2; round <= 4; ++round) {
      const auto mixed = gaps(engine, machine, round * 1000, 64, 64);
      EXPECT_LT(mixed[mixed.size() * 99 / 100], 2 * alone[alone.size() / 2]) << machine.name;
    }
  }
}

// Many come at once, to a machine on which few rows are free: the first of them who generate do not
// hold up all others, and wait no longer than they will when all do.
TEST(Pace, ABurstOfPromptsTakesLittleMoreThanItsRows) {
  constexpr int32_t kArrivals = 16, kPrompt = 512, kAnswer = 128;
  constexpr Nanos kRow = 1700 * kMicrosecond;
  const auto time_of = [](const StepWork& work) {
    const Nanos rows = kRow * (work.prompt_tokens + work.generating);
    return std::max(10 * kMillisecond, 5 * kMillisecond + rows);
  };
  Mix mix(kMachines[0], 1750);
  Engine& engine = mix.engine();
  for (RequestId id = 1; id <= kStreams; ++id) engine.scheduler.cancel(id);
  for (RequestId id = 1000; id < 1000 + kArrivals; ++id) {
    engine.add(make_request(id, kPrompt, kAnswer));
  }
  const Nanos begin = engine.now;
  std::vector<Nanos> steps;
  while (engine.scheduler.busy()) {
    const StepPlan& plan = engine.plan();
    const StepResult result = Engine::answer(plan);
    const Nanos took = time_of(plan.work);
    if (plan.work.generating > 0) steps.push_back(took);
    engine.now += took;
    engine.scheduler.commit(result, engine.now);
  }
  std::sort(steps.begin(), steps.end());
  EXPECT_LT(engine.now - begin, kRow * kArrivals * (kPrompt + kAnswer) * 4 / 3);
  EXPECT_LT(steps[steps.size() * 99 / 100], 2 * time_of({.generating = kArrivals}));
}

TEST(Pace, WithoutTheBoundOnlyTheTargetHolds) {
  Mix mix(kMachines[0], 0);
  mix.send_prompts(6);
  EXPECT_GT(mix.stretch(500), 2700);
  EXPECT_LT(mix.stretch(950), 3700);
}

}  // namespace
}  // namespace hearth::engine
