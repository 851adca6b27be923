// What do thousands of adapters cost?
//
//   ./dev bench lora [--seconds S] [--rounds R] [--adapters 0,1,5,...] [--shapes qv8,qkvo8,all8-64]
//                    [--spreads uniform,power,distinct] [--hidden N] [--layers N] [--memory MB]
//                    [--svg FILE]
//
// A random decoder serves 16 sequences at once through the real scheduler, runner and store of
// adapters; each request names one of N adapters. The weights of adapters lie in 32 files that the
// folders of all adapters share by hard links, so that disk and page cache hold them; in memory
// each adapter is its own. Numbers of adapters take turns, and each shows its best round: on a
// shared machine the one that was disturbed least. One JSON line a measurement, and a chart.
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
  double seconds = 8;
  int rounds = 3;
  std::vector<int32_t> adapters = {0, 1, 5, 10, 100, 1000, 4000};
  std::vector<std::string> shapes = {"qv8", "qkvo8", "all8-64"};
  std::vector<std::string> spreads = {"uniform", "power", "distinct"};
  int64_t hidden = 2048;
  int64_t layers = 6;
  int64_t memory_mb = 1024;
  std::string svg;
};

Options parse(int argc, char** argv) {
  Options options;
  CLI::App app{"What do thousands of adapters cost?", "./dev bench lora"};
  app.option_defaults()->always_capture_default();
  app.add_option("--seconds", options.seconds, "of a round");
  app.add_option("--rounds", options.rounds, "of each measurement");
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

struct Result {
  double tokens_per_second = 0;
  std::vector<double> itl, ttft;  // seconds
  engine::AdapterStats adapters;
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
  Session(const models::Model& model, const Options& options, const AdapterFolders& folders,
          int32_t count, const std::string& spread)
      : store_(model.projections, {.memory_bytes = options.memory_mb << 20, .mapped_max = 8192}),
        config_(config_for(store_)),
        scheduler_(config_),
        runner_(model,
                {.num_blocks = config_.num_blocks,
                 .max_num_seqs = config_.max_num_seqs,
                 .max_num_batched_tokens = config_.max_num_batched_tokens},
                backend_.context(), &store_),
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
  }

  // Sixteen clients that ask again as soon as they are answered.
  Result run(double seconds_long) {
    for (int32_t i = 0; i < kBatch; ++i) ask(i * kOutputTokens / kBatch);
    const Nanos warm = clock_.now() + static_cast<Nanos>(seconds_long * 0.25 * kSecond);
    const Nanos end = clock_.now() + static_cast<Nanos>(seconds_long * 1.25 * kSecond);
    Nanos begin = 0;
    while (clock_.now() < end) {
      if (begin == 0 && clock_.now() >= warm) {
        begin = clock_.now();
        result_.itl.clear();
        result_.ttft.clear();
        tokens_ = 0;
      }
      step();
    }
    result_.tokens_per_second = static_cast<double>(tokens_) / seconds(clock_.now() - begin);
    result_.adapters = scheduler_.stats().adapters;
    result_.memory_bytes = result_.adapters.pages_taken * store_.page_bytes();
    store_.wait();
    return result_;
  }

 private:
  struct Client {
    Nanos asked = 0;
    Nanos last = 0;
  };

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

  // The first ones end early, so that not all come again at once.
  void ask(int32_t shorter) {
    engine::Request request;
    request.id = ++last_id_;
    for (int32_t i = 0; i < kPromptTokens; ++i) {
      request.prompt.push_back(static_cast<engine::TokenId>(random_.below(kVocabulary)));
    }
    request.max_tokens = kOutputTokens - shorter;
    request.sampling.temperature = 0;
    request.adapter = chooser_.next();
    clients_[request.id] = {clock_.now(), 0};
    scheduler_.add(std::move(request), clock_.now());
  }

  void take_loads(bool wait) {
    std::unique_lock lock(mutex_);
    if (wait) wake_.wait(lock, [this] { return !loaded_.empty(); });
    for (const int32_t id : loaded_) scheduler_.adapter_loaded(id);
    loaded_.clear();
  }

  void step() {
    take_loads(false);
    const engine::StepPlan& plan = scheduler_.plan(clock_.now());
    if (plan.empty()) return take_loads(true);
    const engine::StepResult result = runner_.run(plan);
    const Nanos now = clock_.now();
    int32_t ended = 0;
    for (const engine::Output& output : scheduler_.commit(result, now)) {
      Client& client = clients_.at(output.request);
      tokens_ += std::ssize(output.tokens);
      if (client.last == 0) {
        result_.ttft.push_back(seconds(now - client.asked));
      } else {
        result_.itl.push_back(seconds(now - client.last));
      }
      client.last = now;
      if (!output.request_done) continue;
      clients_.erase(output.request);
      ++ended;
    }
    for (; ended > 0; --ended) ask(0);
  }

  SystemClock clock_;
  backend::cpu::Backend backend_;
  adapters::AdapterStore store_;
  const engine::EngineConfig config_;
  engine::Scheduler scheduler_;
  runner::CpuRunner runner_;
  Chooser chooser_;
  Random random_{3};
  std::map<engine::RequestId, Client> clients_;
  engine::RequestId last_id_ = 0;
  int64_t tokens_ = 0;
  Result result_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<int32_t> loaded_;  // guarded by mutex_
};

void print(const std::string& shape, const std::string& spread, int32_t count, const Result& r) {
  fmt::print(R"({{"bench":"lora","shape":"{}","spread":"{}","adapters":{},"batch":{},)"
             R"("tokens_per_second":{:.1f},"itl_p50_ms":{:.3f},"itl_p99_ms":{:.3f},)"
             R"("ttft_p50_ms":{:.3f},"ttft_p99_ms":{:.3f},"adapter_memory_mb":{:.1f},)"
             R"("resident":{},"loads":{},"evicted":{},"register_ms_each":{:.3f}}})"
             "\n",
             shape, spread, count, kBatch, r.tokens_per_second, quantile(r.itl, 0.5) * 1e3,
             quantile(r.itl, 0.99) * 1e3, quantile(r.ttft, 0.5) * 1e3, quantile(r.ttft, 0.99) * 1e3,
             static_cast<double>(r.memory_bytes) / (1 << 20), r.adapters.resident, r.adapters.loads,
             r.adapters.evicted_for_room, count > 0 ? r.register_seconds * 1e3 / count : 0.0);
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

void run(const Options& options) {
  const bench::RandomLlama random =
      bench::random_llama({options.hidden, options.layers, kVocabulary});
  const models::Model& model = *random.model;
  fmt::print(stderr, "hidden {}, {} layers, {} MB of weights\n", options.hidden, options.layers,
             random.weights->size() >> 20);
  cold_load(model);
  bench::Chart throughput{"tokens per second, by adapters", {}, options.adapters};
  bench::Chart latency{"inter-token latency, ms (median), by adapters", {}, options.adapters};
  for (const std::string& shape : options.shapes) {
    const int32_t most = *std::max_element(options.adapters.begin(), options.adapters.end());
    const AdapterFolders folders(model, shape, most);
    for (const std::string& spread : options.spreads) {
      bench::Series tokens{shape + ", " + spread, {}}, itl = tokens;
      std::vector<Result> best(options.adapters.size());
      for (int round = 0; round < options.rounds; ++round) {
        for (size_t i = 0; i < best.size(); ++i) {
          Session session(model, options, folders, options.adapters[i], spread);
          Result result = session.run(options.seconds);
          if (result.tokens_per_second > best[i].tokens_per_second) best[i] = std::move(result);
        }
      }
      for (size_t i = 0; i < best.size(); ++i) {
        const Result& result = best[i];
        print(shape, spread, options.adapters[i], result);
        tokens.values.push_back(result.tokens_per_second);
        itl.values.push_back(quantile(result.itl, 0.5) * 1e3);
      }
      throughput.series.push_back(tokens);
      latency.series.push_back(itl);
    }
  }
  if (options.svg.empty()) return;
  const bench::Chart charts[] = {throughput, latency};
  io::write_file_atomic(options.svg,
                        bench::svg("one model, many adapters: 16 sequences at once", charts));
}

}  // namespace
}  // namespace hearth

int main(int argc, char** argv) { hearth::run(hearth::parse(argc, argv)); }
