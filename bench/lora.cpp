// What do thousands of adapters cost?
//
//   ./dev bench lora [--minutes M] [--slice S] [--adapters 0,1,5,...] [--shapes qv8,qkvo8,all8-64]
//                    [--spreads uniform,power,distinct] [--hidden N] [--layers N] [--memory MB]
//                    [--svg FILE]
//
// A random decoder serves 16 sequences at once through the real scheduler, runner and store of
// adapters; each request names one of N adapters. The weights of adapters lie in 32 files that the
// folders of all adapters share by hard links, so that disk and page cache hold them; in memory
// each adapter is its own. Every number of adapters has an engine of its own that stays: its
// memory is full of adapters before anything is measured, as that of a server that has run for an
// hour, and they take turns of a few seconds, forwards and backwards, so that whatever else the
// machine does hits all of them alike. A ratio is the median over the rounds, each against its own
// round's. One JSON line a measurement, and a chart.
#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fmt/format.h>
#include <map>
#include <mutex>
#include <numeric>
#include <unistd.h>

#include "adapters/peft.h"
#include "adapters/store.h"
#include "backend/cpu/cpu_backend.h"
#include "base/clock.h"
#include "base/random.h"
#include "bench_clock.h"
#include "chart.h"
#include "engine/scheduler.h"
#include "flags.h"
#include "io/file.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "models/model.h"
#include "random_llama.h"
#include "runner/cpu_runner.h"

namespace hearth {
namespace {

namespace fs = std::filesystem;

constexpr int32_t kBatch = 16;
constexpr int32_t kPromptTokens = 32;
constexpr int32_t kOutputTokens = 96;
constexpr int32_t kVocabulary = 4096;
constexpr int32_t kFiles = 32;
constexpr int kColdLoads = 50;

struct Options {
  double minutes = 20;
  double slice = 4;
  std::vector<int32_t> adapters = {0, 1, 5, 10, 100, 1000, 4000};
  std::vector<std::string> shapes = {"qv8", "qkvo8", "all8-64"};
  std::vector<std::string> spreads = {"uniform", "power", "distinct"};
  int64_t hidden = 2048;
  int64_t layers = 6;
  int64_t memory_mb = 2048;
  int threads = 0;
  std::string clock = "wall";
  std::string svg;

  int rounds() const {
    const auto points = static_cast<double>(adapters.size() * shapes.size() * spreads.size());
    return std::max(static_cast<int>(std::lround(minutes * 60 / points / slice)), 1);
  }
};

Options parse(int argc, char** argv) {
  Options options;
  CLI::App app{"What do thousands of adapters cost?", "./dev bench lora"};
  app.option_defaults()->always_capture_default();
  app.add_option("--minutes", options.minutes, "for all measurements, preparations not counted");
  app.add_option("--slice", options.slice, "seconds of a turn");
  app.add_option("--adapters", options.adapters, "how many, separated by commas")->delimiter(',');
  app.add_option("--shapes", options.shapes, "ranks and layers")
      ->delimiter(',')
      ->check(CLI::IsMember({"qv8", "qkvo8", "all8-64"}));
  app.add_option("--spreads", options.spreads, "who is asked for")
      ->delimiter(',')
      ->check(CLI::IsMember({"uniform", "power", "distinct"}));
  app.add_option("--hidden", options.hidden, "width of the model, a multiple of 64");
  app.add_option("--layers", options.layers, "of the model");
  app.add_option("--memory", options.memory_mb, "MB for adapters");
  app.add_option("--threads", options.threads, "that compute; 0: one a core");
  bench::add_clock(app, options.clock);
  app.add_option("--svg", options.svg, "file of the charts");
  bench::parse_or_exit(app, argc, argv);
  return options;
}

// --- adapters of random weights
// --------------------------------------------------------

struct AdapterShape {
  std::vector<std::string> modules;
  int64_t rank = 8;
};

// The i-th file of a shape.
AdapterShape shape_of(const std::string& name, int32_t i) {
  if (name == "qv8") return {{"q_proj", "v_proj"}, 8};
  if (name == "qkvo8") return {{"q_proj", "k_proj", "v_proj", "o_proj"}, 8};
  return {{"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"},
          int64_t{8} << i % 4};
}

// The two files of a random adapter in bf16. Returns the bytes of its weights.
int64_t write_adapter(const models::Model& model, const AdapterShape& shape, uint64_t seed,
                      const std::string& folder) {
  Random random(seed);
  std::vector<std::vector<uint16_t>> data;
  std::vector<io::TensorToStore> tensors;
  const auto add = [&](const std::string& name, int64_t rows, int64_t cols, float deviation) {
    data.push_back(bench::random_bf16(random, rows * cols, deviation));
    tensors.push_back({name, "BF16", {rows, cols}, std::as_bytes(std::span(data.back()))});
  };
  for (const nn::Projection& projection : model.projections) {
    const std::string last = projection.name.substr(projection.name.rfind('.') + 1);
    if (std::find(shape.modules.begin(), shape.modules.end(), last) == shape.modules.end())
      continue;
    add(adapters::tensor_name(projection.name, ".lora_A.weight"), shape.rank, projection.in,
        1 / std::sqrt(float(projection.in)));
    add(adapters::tensor_name(projection.name, ".lora_B.weight"), projection.out, shape.rank,
        0.02f);
  }
  adapters::AdapterConfig config;
  config.r = shape.rank;
  config.lora_alpha = 2.0 * static_cast<double>(shape.rank);
  config.target_modules.names = shape.modules;
  fs::create_directories(folder);
  const std::string weights = io::build_safetensors(tensors);
  io::write_file_atomic(folder + "/" + adapters::kAdapterWeightsFile, weights);
  io::write_file_atomic(folder + "/" + adapters::kAdapterConfigFile,
                        adapters::to_json(config).dump());
  return static_cast<int64_t>(weights.size());
}

class AdapterFolders {
 public:
  AdapterFolders(const models::Model& model, const std::string& shape, int32_t count)
      : root_(fs::temp_directory_path() / fmt::format("hearth_bench_lora_{}", ::getpid())) {
    for (int32_t i = 0; i < std::min(count, kFiles); ++i) {
      write_adapter(model, shape_of(shape, i), static_cast<uint64_t>(i) + 1, of(i));
    }
    for (int32_t i = kFiles; i < count; ++i) {
      fs::create_directories(of(i));
      for (const char* name : {adapters::kAdapterConfigFile, adapters::kAdapterWeightsFile}) {
        fs::create_hard_link(of(i % kFiles) + "/" + name, of(i) + "/" + name);
      }
    }
  }
  ~AdapterFolders() { fs::remove_all(root_); }
  std::string of(int32_t i) const { return (root_ / std::to_string(i)).string(); }

 private:
  fs::path root_;
};

// --- one measurement
// -------------------------------------------------------------------------------

double quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1) + 0.5)];
}

// Of one number of adapters, all its turns together.
struct Result {
  std::vector<double> tokens_per_second;  // by round
  std::vector<double> itl, ttft;          // seconds
  engine::AdapterStats adapters;          // at the end
  uint64_t loads = 0;                     // while it was measured
  double register_seconds = 0;
  int64_t memory_bytes = 0;
};

// Which adapter a request names: 1 to count, or the base without any.
class Chooser {
 public:
  Chooser(const std::string& spread, int32_t count) : spread_(spread), count_(count) {
    double total = 0;
    for (int32_t i = 1; i <= count; ++i) cumulative_.push_back(total += 1.0 / i);
  }
  engine::AdapterId next() {
    if (count_ == 0) return engine::kBaseModel;
    if (spread_ == "distinct") return 1 + next_++ % count_;
    if (spread_ == "uniform") {
      return 1 + static_cast<engine::AdapterId>(random_.below(static_cast<uint64_t>(count_)));
    }
    const double at = random_.uniform() * cumulative_.back();
    const auto found = std::upper_bound(cumulative_.begin(), cumulative_.end(), at);
    return 1 + static_cast<engine::AdapterId>(found - cumulative_.begin());
  }

 private:
  const std::string spread_;
  const int32_t count_;
  std::vector<double> cumulative_;
  Random random_{5};
  int32_t next_ = 0;
};

class Session {
 public:
  Session(const models::Model& model, const ops::Context& ctx, const Options& options,
          const AdapterFolders& folders, int32_t count, const std::string& spread)
      : clock_(bench::clock_kind(options.clock)),
        store_(model.projections, {.memory_bytes = options.memory_mb << 20, .mapped_max = 8192}),
        config_(config_for(store_)),
        scheduler_(config_),
        runner_(model,
                {.num_blocks = config_.num_blocks,
                 .max_num_seqs = config_.max_num_seqs,
                 .max_num_batched_tokens = config_.max_num_batched_tokens},
                ctx, &store_),
        chooser_(spread, count) {
    store_.tell([this](int32_t id, const std::string& error) {
      if (!error.empty()) fmt::print(stderr, "adapter {}: {}\n", id, error);
      const std::lock_guard lock(mutex_);
      loaded_.push_back(id);
      wake_.notify_one();
    });
    const Nanos start = clock_.now();
    for (engine::AdapterId id = 1; id <= count; ++id) {
      scheduler_.add_adapter(id, store_.open(id, folders.of(id - 1)).pages);
    }
    result_.register_seconds = seconds(clock_.now() - start);
    fill_memory(count);
    for (int32_t i = 0; i < kBatch; ++i)
      ask(chooser_.next(), kPromptTokens, kOutputTokens - i * kOutputTokens / kBatch);
    run(0.5);
    result_.tokens_per_second.clear();
    result_.itl.clear();
    result_.ttft.clear();
    loads_before_ = scheduler_.stats().adapters.loads;
  }
  ~Session() { store_.wait(); }

  // Sixteen clients that ask again as soon as they are answered.
  void run(double seconds_long) {
    // What came between two turns is nobody's time.
    for (auto& [id, client] : clients_) client = {};
    tokens_ = 0;
    const Nanos begin = clock_.now();
    const Nanos end = begin + static_cast<Nanos>(seconds_long * kSecond);
    while (clock_.now() < end) step(kAskAgain);
    result_.tokens_per_second.push_back(static_cast<double>(tokens_) /
                                        seconds(clock_.now() - begin));
  }

  const Result& result() {
    result_.adapters = scheduler_.stats().adapters;
    result_.loads = result_.adapters.loads - loads_before_;
    result_.memory_bytes = result_.adapters.pages_taken * store_.page_bytes();
    return result_;
  }

 private:
  // 0: in an earlier turn.
  struct Client {
    Nanos asked = 0;
    Nanos last = 0;
    bool answered = false;
  };
  enum Then { kAskAgain, kLeave };

  static double seconds(Nanos nanos) { return static_cast<double>(nanos) / kSecond; }

  static engine::EngineConfig config_for(const adapters::AdapterStore& store) {
    engine::EngineConfig config;
    config.num_blocks = 4 * kBatch * (kPromptTokens + kOutputTokens) / engine::kBlockTokens;
    config.max_model_len = 2 * (kPromptTokens + kOutputTokens);
    config.max_num_seqs = kBatch;
    config.max_num_batched_tokens = 256;
    config.adapter_pages = store.pages();
    return config;
  }

  // Every adapter answers once, up to as many as memory holds.
  void fill_memory(int32_t count) {
    for (engine::AdapterId id = 1; id <= count; ++id) {
      while (std::ssize(clients_) == kBatch) step(kLeave);
      if (scheduler_.stats().adapters.evicted_for_room > 0) break;
      ask(id, 1, 1);
    }
    while (!clients_.empty()) step(kLeave);
  }

  void ask(engine::AdapterId adapter, int32_t prompt_tokens, int32_t output_tokens) {
    engine::Request request;
    request.id = ++last_id_;
    for (int32_t i = 0; i < prompt_tokens; ++i) {
      request.prompt.push_back(static_cast<engine::TokenId>(random_.below(kVocabulary)));
    }
    request.max_tokens = output_tokens;
    request.sampling.temperature = 0;
    request.adapter = adapter;
    clients_[request.id] = {clock_.now()};
    scheduler_.add(std::move(request), clock_.now());
  }

  void take_loads(bool wait) {
    std::unique_lock lock(mutex_);
    if (wait) wake_.wait(lock, [this] { return !loaded_.empty(); });
    for (const int32_t id : loaded_) scheduler_.adapter_loaded(id);
    loaded_.clear();
  }

  void step(Then then) {
    take_loads(false);
    const engine::StepPlan& plan = scheduler_.plan(clock_.now());
    if (plan.empty()) return take_loads(true);
    const engine::StepResult result = runner_.run(plan);
    const Nanos now = clock_.now();
    int32_t ended = 0;
    for (const engine::Output& output : scheduler_.commit(result, now)) {
      tokens_ += std::ssize(output.tokens);
      measure(clients_.at(output.request), now);
      if (!output.request_done) continue;
      clients_.erase(output.request);
      ++ended;
    }
    for (; ended > 0 && then == kAskAgain; --ended)
      ask(chooser_.next(), kPromptTokens, kOutputTokens);
  }

  void measure(Client& client, Nanos now) {
    if (client.last != 0) {
      result_.itl.push_back(seconds(now - client.last));
    } else if (!client.answered && client.asked != 0) {
      result_.ttft.push_back(seconds(now - client.asked));
    }
    client.answered = true;
    client.last = now;
  }

  const bench::BenchClock clock_;
  adapters::AdapterStore store_;
  const engine::EngineConfig config_;
  engine::Scheduler scheduler_;
  runner::CpuRunner runner_;
  Chooser chooser_;
  Random random_{3};
  std::map<engine::RequestId, Client> clients_;
  engine::RequestId last_id_ = 0;
  int64_t tokens_ = 0;
  uint64_t loads_before_ = 0;
  Result result_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<int32_t> loaded_;  // guarded by mutex_
};

void print(const std::string& shape, const std::string& spread, int32_t count, const Result& r) {
  fmt::print(R"({{"bench":"lora","shape":"{}","spread":"{}","adapters":{},"batch":{},"rounds":{},)"
             R"("tokens_per_second":{:.1f},"itl_p50_ms":{:.3f},"itl_p99_ms":{:.3f},)"
             R"("ttft_p50_ms":{:.3f},"ttft_p99_ms":{:.3f},"adapter_memory_mb":{:.1f},)"
             R"("resident":{},"loads":{},"register_ms_each":{:.3f}}})"
             "\n",
             shape, spread, count, kBatch, r.tokens_per_second.size(),
             quantile(r.tokens_per_second, 0.5), quantile(r.itl, 0.5) * 1e3,
             quantile(r.itl, 0.99) * 1e3, quantile(r.ttft, 0.5) * 1e3, quantile(r.ttft, 0.99) * 1e3,
             static_cast<double>(r.memory_bytes) / (1 << 20), r.adapters.resident, r.loads,
             count > 0 ? r.register_seconds * 1e3 / count : 0.0);
  std::fflush(stdout);
}

// Round by round against another number of adapters. The middle half of the rounds says how far to
// trust the median.
void print_ratio(const std::string& shape, const std::string& spread, int32_t count,
                 const Result& result, int32_t to, const Result& other) {
  std::vector<double> ratios;
  for (size_t i = 0; i < result.tokens_per_second.size(); ++i) {
    ratios.push_back(result.tokens_per_second[i] / other.tokens_per_second[i]);
  }
  fmt::print(R"({{"bench":"lora","shape":"{}","spread":"{}","adapters":{},"against":{},)"
             R"("throughput_ratio":{:.4f},"quartiles":[{:.4f},{:.4f}],"itl_p50_ratio":{:.4f}}})"
             "\n",
             shape, spread, count, to, quantile(ratios, 0.5), quantile(ratios, 0.25),
             quantile(ratios, 0.75), quantile(result.itl, 0.5) / quantile(other.itl, 0.5));
  std::fflush(stdout);
}

// The time to bring an adapter of about 10 MB from the page cache into memory.
void cold_load(const models::Model& model) {
  const fs::path folder =
      fs::temp_directory_path() / fmt::format("hearth_bench_lora_cold_{}", ::getpid());
  AdapterShape shape = shape_of("all8-64", 0);
  const int64_t bytes_a_rank = write_adapter(model, {shape.modules, 1}, 1, folder.string());
  shape.rank = std::max<int64_t>(1, (10 << 20) / bytes_a_rank);
  const int64_t bytes = write_adapter(model, shape, 1, folder.string());
  adapters::AdapterStore store(model.projections, {.memory_bytes = int64_t{256} << 20});
  std::vector<int32_t> pages(static_cast<size_t>(store.open(1, folder.string()).pages));
  const SystemClock clock;
  std::vector<double> milliseconds;
  for (int i = 0; i < kColdLoads; ++i) {
    // Other pages each time: memory that was never written is part of a first load.
    std::iota(pages.begin(), pages.end(), i % 2 == 0 ? 0 : std::ssize(pages));
    const Nanos start = clock.now();
    store.load(1, pages);
    store.wait();
    milliseconds.push_back(static_cast<double>(clock.now() - start) / kMillisecond);
    store.evict(1);
  }
  fmt::print(R"({{"bench":"lora","question":"cold load","rank":{},"file_mb":{:.2f},)"
             R"("first_ms":{:.2f},"p50_ms":{:.2f},"p99_ms":{:.2f}}})"
             "\n",
             shape.rank, static_cast<double>(bytes) / (1 << 20), milliseconds[0],
             quantile(milliseconds, 0.5), quantile(milliseconds, 0.99));
  fs::remove_all(folder);
}

// One shape and spread: all numbers of adapters by turns.
std::vector<Result> measure(const models::Model& model, const ops::Context& ctx,
                            const Options& options, const AdapterFolders& folders,
                            const std::string& spread) {
  std::vector<std::unique_ptr<Session>> sessions;
  for (const int32_t count : options.adapters) {
    sessions.push_back(std::make_unique<Session>(model, ctx, options, folders, count, spread));
  }
  for (int round = 0; round < options.rounds(); ++round) {
    for (size_t i = 0; i < sessions.size(); ++i) {
      sessions[round % 2 == 0 ? i : sessions.size() - 1 - i]->run(options.slice);
    }
  }
  std::vector<Result> results;
  for (const auto& session : sessions) results.push_back(session->result());
  return results;
}

void print_all(const std::string& shape, const std::string& spread,
               const std::vector<int32_t>& counts, const std::vector<Result>& results) {
  for (size_t i = 0; i < results.size(); ++i) print(shape, spread, counts[i], results[i]);
  for (size_t to = 0; to < results.size(); ++to) {
    if (counts[to] != 0 && counts[to] != 5) continue;
    for (size_t i = to + 1; i < results.size(); ++i) {
      print_ratio(shape, spread, counts[i], results[i], counts[to], results[to]);
    }
  }
}

void run(const Options& options) {
  const bench::RandomLlama random =
      bench::random_llama({options.hidden, options.layers, kVocabulary});
  const models::Model& model = *random.model;
  backend::cpu::Backend backend({.threads = options.threads});
  fmt::print(stderr, "hidden {}, {} layers, {} MB of weights, {} rounds of {} s\n", options.hidden,
             options.layers, random.weights->size() >> 20, options.rounds(), options.slice);
  cold_load(model);
  bench::Chart throughput{"tokens per second (median), by adapters", {}, options.adapters};
  bench::Chart latency{"inter-token latency, ms (median), by adapters", {}, options.adapters};
  for (const std::string& shape : options.shapes) {
    const int32_t most = *std::max_element(options.adapters.begin(), options.adapters.end());
    const AdapterFolders folders(model, shape, most);
    for (const std::string& spread : options.spreads) {
      const auto results = measure(model, backend.context(), options, folders, spread);
      print_all(shape, spread, options.adapters, results);
      bench::Series tokens{shape + ", " + spread, {}}, itl = tokens;
      for (const Result& result : results) {
        tokens.values.push_back(quantile(result.tokens_per_second, 0.5));
        itl.values.push_back(quantile(result.itl, 0.5) * 1e3);
      }
      throughput.series.push_back(tokens);
      latency.series.push_back(itl);
    }
  }
  if (options.svg.empty()) return;
  const bench::Chart charts[] = {throughput, latency};
  io::write_file_atomic(options.svg,
                        bench::svg("One model, many adapters: 16 sequences at once", charts));
}

}  // namespace
}  // namespace hearth

int main(int argc, char** argv) {
  return hearth::bench::run_or_say_why([&] { hearth::run(hearth::parse(argc, argv)); });
}
