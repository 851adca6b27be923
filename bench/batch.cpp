// What does a batch cost those who wait for their answers?
//
//   ./dev bench batch [--rounds R] [--seconds S] [--clients N] [--batch N] [--hidden N] [--layers
//   N] ...
//
// A random decoder, the real scheduler and runner. A few people ask, read, and ask again; beside
// them, in every second stretch of time, a batch without end is queued, of the class that
// /v1/batches uses. Both kinds of stretches alternate in one run, so that what else the machine
// does hits both. A table on standard error, one JSON line on standard output.
#include <algorithm>
#include <cstdio>
#include <fmt/format.h>
#include <map>

#include "backend/cpu/cpu_backend.h"
#include "base/random.h"
#include "bench_clock.h"
#include "engine/scheduler.h"
#include "flags.h"
#include "random_llama.h"
#include "runner/cpu_runner.h"

namespace hearth {
namespace {

constexpr int32_t kVocabulary = 4096;

struct Options {
  int rounds = 8;
  double seconds = 5;
  int threads = 0;
  int32_t clients = 2;
  int32_t prompt = 192;
  int32_t shared = 128;
  int32_t generate = 48;
  int32_t pause_ms = 400;
  int32_t batch = 16;
  int32_t batch_prompt = 512;
  int32_t batch_generate = 64;
  int32_t step_ms = 100;
  double stretch = 1.75;
  std::string clock = "wall";
  std::string neighbour = "batch";
  int64_t hidden = 768;
  int64_t layers = 12;
};

Options parse(int argc, char** argv) {
  Options options;
  CLI::App app{"What does a batch cost those who wait for their answers?", "./dev bench batch"};
  app.option_defaults()->always_capture_default();
  app.add_option("--rounds", options.rounds, "stretches of each kind");
  app.add_option("--seconds", options.seconds, "of a stretch");
  app.add_option("--threads", options.threads, "that compute; 0: one a core");
  app.add_option("--clients", options.clients, "people who ask");
  app.add_option("--prompt", options.prompt, "tokens of what they ask");
  app.add_option("--shared", options.shared, "of those, the same in each: a system prompt");
  app.add_option("--generate", options.generate, "tokens of an answer");
  app.add_option("--pause-ms", options.pause_ms, "mean time that they read");
  app.add_option("--batch", options.batch, "requests of the batch in the engine at once");
  app.add_option("--batch-prompt", options.batch_prompt, "tokens of one of its prompts");
  app.add_option("--batch-generate", options.batch_generate, "tokens of one of its answers");
  app.add_option("--step-ms", options.step_ms, "as of hearth serve");
  app.add_option("--itl-stretch", options.stretch, "as of hearth serve");
  bench::add_clock(app, options.clock);
  app.add_option("--class", options.neighbour,
                 "of the batch: standard shows what sharing would cost")
      ->check(CLI::IsMember({"batch", "standard"}));
  app.add_option("--hidden", options.hidden, "width of the model, a multiple of 64");
  app.add_option("--layers", options.layers, "of the model");
  bench::parse_or_exit(app, argc, argv);
  return options;
}

double milliseconds(Nanos time) { return static_cast<double>(time) / kMillisecond; }

double quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1) + 0.5)];
}

// Of all stretches of one kind, in milliseconds.
struct Seen {
  std::vector<double> itl, ttft;
  int64_t batch_tokens = 0;
  int64_t abandoned = 0;  // steps of the batch
  double longest_step = 0;
  double seconds = 0;
};

class House {
 public:
  explicit House(const Options& options)
      : options_(options),
        clock_(bench::clock_kind(options.clock)),
        backend_({.threads = options.threads}),
        random_llama_(bench::random_llama({options.hidden, options.layers, kVocabulary})),
        scheduler_(config_for(options)),
        runner_(*random_llama_.model,
                {.num_blocks = scheduler_.config().num_blocks,
                 .max_num_seqs = scheduler_.config().max_num_seqs,
                 .max_num_batched_tokens = scheduler_.config().max_num_batched_tokens},
                backend_.context()),
        readers_(static_cast<size_t>(options.clients)) {
    for (int32_t i = 0; i < options.shared; ++i) system_prompt_.push_back(random_token());
  }

  void run_alone(Seen& seen) { run(0, seen); }
  void run_beside_a_batch(Seen& seen) { run(options_.batch, seen); }

 private:
  struct Reader {
    Nanos asks_at = 0;
    engine::RequestId waits_for = 0;  // 0: reads
  };
  struct Live {
    Reader* reader = nullptr;  // null: of the batch
    Nanos asked = 0;
    Nanos last = 0;
  };

  static engine::EngineConfig config_for(const Options& options) {
    engine::EngineConfig config;
    config.max_num_seqs = options.clients + options.batch;
    config.max_num_batched_tokens = std::max(512, config.max_num_seqs);
    config.max_model_len =
        std::max(options.prompt + options.generate, options.batch_prompt + options.batch_generate);
    config.num_blocks = 2 * config.max_num_seqs * (config.max_model_len / engine::kBlockTokens + 1);
    config.step_time_target = options.step_ms * kMillisecond;
    config.step_stretch_permille = static_cast<int32_t>(options.stretch * 1000);
    return config;
  }

  engine::TokenId random_token() {
    return static_cast<engine::TokenId>(random_.below(kVocabulary));
  }

  engine::RequestId add(std::vector<engine::TokenId> prompt, int32_t length, int32_t generate,
                        engine::ServiceClass service_class, Reader* reader) {
    engine::Request request;
    request.id = ++last_id_;
    request.prompt = std::move(prompt);
    while (std::ssize(request.prompt) < length) request.prompt.push_back(random_token());
    request.max_tokens = generate;
    request.sampling.temperature = 0;
    request.service_class = service_class;
    live_[last_id_] = {reader, reader ? reader->asks_at : clock_.now(), 0};
    scheduler_.add(std::move(request), clock_.now());
    return last_id_;
  }

  void run(int32_t batch, Seen& seen) {
    const Nanos begin = clock_.now();
    const Nanos end = begin + static_cast<Nanos>(options_.seconds * kSecond);
    for (Nanos now = begin; now < end; now = clock_.now()) {
      for (Reader& reader : readers_) {
        if (reader.waits_for != 0 || reader.asks_at > now) continue;
        reader.waits_for = add(system_prompt_, options_.prompt, options_.generate,
                               engine::ServiceClass::kStandard, &reader);
      }
      for (; batch_live_ < batch; ++batch_live_) {
        add({}, options_.batch_prompt, options_.batch_generate, neighbour_class(), nullptr);
      }
      if (scheduler_.busy()) {
        step(seen);
      } else {
        clock_.wait_until(std::min(next_question(), end));
      }
    }
    seen.seconds += milliseconds(clock_.now() - begin) / 1e3;
    cancel_batch();
  }

  void cancel_batch() {
    std::erase_if(live_, [this](const auto& entry) {
      if (entry.second.reader == nullptr) scheduler_.cancel(entry.first);
      return entry.second.reader == nullptr;
    });
    batch_live_ = 0;
  }

  Nanos next_question() const {
    Nanos next = readers_.front().asks_at;
    for (const Reader& reader : readers_) next = std::min(next, reader.asks_at);
    return next;
  }

  engine::ServiceClass neighbour_class() const {
    return options_.neighbour == "batch" ? engine::ServiceClass::kBatch
                                         : engine::ServiceClass::kStandard;
  }

  void step(Seen& seen) {
    const Nanos begin = clock_.now();
    const engine::StepPlan& plan = scheduler_.plan(begin);
    const auto somebody_asks = [&] { return clock_.now() >= next_question(); };
    const engine::StepResult result =
        plan.idle ? runner_.run_idle(plan, somebody_asks) : runner_.run(plan);
    if (result.abandoned) ++seen.abandoned;
    const Nanos now = clock_.now();
    seen.longest_step = std::max(seen.longest_step, milliseconds(now - begin));
    for (const engine::Output& output : scheduler_.commit(result, now)) hear(output, now, seen);
  }

  void hear(const engine::Output& output, Nanos now, Seen& seen) {
    Live& live = live_.at(output.request);
    if (live.reader == nullptr) {
      seen.batch_tokens += std::ssize(output.tokens);
      if (output.request_done) --batch_live_;
    } else {
      const bool first = live.last == 0;
      (first ? seen.ttft : seen.itl)
          .push_back(milliseconds(now - (first ? live.asked : live.last)));
      live.last = now;
      if (output.request_done) {
        const double pause = random_.exponential() * options_.pause_ms;
        *live.reader = {now + static_cast<Nanos>(pause * kMillisecond), 0};
      }
    }
    if (output.request_done) live_.erase(output.request);
  }

  const Options& options_;
  bench::BenchClock clock_;
  backend::cpu::Backend backend_;
  const bench::RandomLlama random_llama_;
  engine::Scheduler scheduler_;
  runner::CpuRunner runner_;
  Random random_{7};
  std::vector<engine::TokenId> system_prompt_;
  std::vector<Reader> readers_;
  std::map<engine::RequestId, Live> live_;
  int32_t batch_live_ = 0;
  engine::RequestId last_id_ = 0;
};

void print(const char* name, const Seen& seen) {
  fmt::print(stderr,
             "{:<16} ITL p50 {:7.3f} p99 {:7.3f} ms | TTFT p50 {:7.2f} p99 {:7.2f} ms | {:4} "
             "answers | batch {:7.1f} tokens/s, {} steps abandoned, longest step {:6.1f} ms\n",
             name, quantile(seen.itl, 0.5), quantile(seen.itl, 0.99), quantile(seen.ttft, 0.5),
             quantile(seen.ttft, 0.99), seen.ttft.size(),
             static_cast<double>(seen.batch_tokens) / seen.seconds, seen.abandoned,
             seen.longest_step);
}

io::Json json_of(const Seen& seen) {
  return {{"itl_p50_ms", quantile(seen.itl, 0.5)},
          {"itl_p99_ms", quantile(seen.itl, 0.99)},
          {"ttft_p50_ms", quantile(seen.ttft, 0.5)},
          {"ttft_p99_ms", quantile(seen.ttft, 0.99)},
          {"answers", seen.ttft.size()},
          {"batch_tokens_per_second", static_cast<double>(seen.batch_tokens) / seen.seconds},
          {"steps_abandoned", seen.abandoned},
          {"longest_step_ms", seen.longest_step}};
}

void run(const Options& options) {
  House house(options);
  Seen warm_up, alone, beside;
  house.run_beside_a_batch(warm_up);
  for (int round = 0; round < options.rounds; ++round) {
    house.run_alone(alone);
    house.run_beside_a_batch(beside);
  }
  print("alone", alone);
  print("beside a batch", beside);
  const io::Json line = {{"bench", "batch"},
                         {"alone", json_of(alone)},
                         {"beside", json_of(beside)},
                         {"itl_p50_ratio", quantile(beside.itl, 0.5) / quantile(alone.itl, 0.5)},
                         {"itl_p99_ratio", quantile(beside.itl, 0.99) / quantile(alone.itl, 0.99)}};
  fmt::print("{}\n", line.dump());
}

}  // namespace
}  // namespace hearth

int main(int argc, char** argv) {
  return hearth::bench::run_or_say_why([&] { hearth::run(hearth::parse(argc, argv)); });
}
