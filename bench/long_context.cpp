// What does a long text cost: time of each token of a prompt, time of a generated token, memory?
//
//   ./dev bench long_context MODEL [--quantize q8|q4] [--kv bf16|i8|f32] [--threads N]
//                            [--most 32768] [--chunk 512] [--svg FILE]
//
// MODEL is a Hugging Face folder or a .gguf file (`./dev bench peers` leaves random ones in the
// folder hearth-bench-models of the system's temporary files). One prompt of --most tokens is
// computed chunk by chunk, as the server does; at 1,024 tokens and each doubling of that a line
// says what the last chunk took a token and its attention of it, what the prompt took so far, what
// a token takes that is generated there, and what memory holds. One JSON line each on stdout, and
// a chart. A 1 B model in q8 takes about 5 minutes on two threads.
#include <algorithm>
#include <cstdio>
#include <fmt/format.h>
#include <fstream>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "chart.h"
#include "flags.h"
#include "io/file.h"
#include "model_files.h"
#include "models/model.h"
#include "runner/kv_storage.h"
#include "timed_kernels.h"

namespace hearth {
namespace {

constexpr int64_t kFirstPoint = 1024;
constexpr int kGenerated = 5;  // tokens generated at a point; the median counts
constexpr size_t kAttention = 2;
static_assert(std::string_view(bench::kOps[kAttention]) == "attention");

struct Options {
  std::string model;
  bench::Numbers numbers;
  int threads = 0;
  int64_t most = 32768;
  int64_t chunk = 512;
  std::string svg;
};

Options parse(int argc, char** argv) {
  Options options;
  CLI::App app{"What does a long text cost?", "./dev bench long_context"};
  app.option_defaults()->always_capture_default();
  app.add_option("MODEL", options.model, "a folder or a .gguf file")->required();
  bench::add_numbers(app, options.numbers);
  app.add_option("--threads", options.threads, "0: all cores");
  app.add_option("--most", options.most, "tokens of the prompt")
      ->check(CLI::Range(kFirstPoint, int64_t{1} << 20));
  app.add_option("--chunk", options.chunk, "tokens of a step; a divisor of 1024")
      ->check(CLI::IsMember({64, 128, 256, 512, 1024}));
  app.add_option("--svg", options.svg, "file of the charts");
  bench::parse_or_exit(app, argc, argv);
  return options;
}

double resident_gib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::stod(line.substr(6)) / (1 << 20);
  }
  return 0;
}

// Milliseconds.
struct Cost {
  double all = 0;
  double attention = 0;
};

struct Point {
  int64_t tokens = 0;
  Cost prompt_token;     // of the last chunk
  double prompt_s = 0;   // all chunks
  Cost generated_token;  // after so many
  double resident_gib = 0;
  double kv_gib = 0;  // of these tokens
};

class Bench {
 public:
  Bench(const Options& options, io::FileSource& files)
      : options_(options),
        backend_({.threads = options.threads}),
        kernels_(bench::timed_kernels(backend_.context().kernels)),
        ctx_{kernels_, backend_.context().workers, backend_.context().arena},
        model_(models::load(files, {.max_model_len = static_cast<int32_t>(options.most),
                                    .quantize = options.numbers.quantize(),
                                    .threads = ctx_.workers.count(),
                                    .kernels = &backend::cpu::quantize_kernels()})),
        blocks_(static_cast<size_t>(options.most / ops::kKvBlockTokens + 1)),
        kv_(model_->info, static_cast<int32_t>(blocks_.size()), options.numbers.kv()) {
    std::iota(blocks_.begin(), blocks_.end(), 0);
  }

  std::vector<Point> run() {
    std::vector<Point> points;
    double seconds = 0;
    Cost last;
    for (int64_t tokens = 0, next = kFirstPoint; tokens < options_.most;) {
      last = step(tokens, options_.chunk);
      seconds += last.all / 1e3;
      tokens += options_.chunk;
      if (tokens != next) continue;
      next *= 2;
      const auto chunk = static_cast<double>(options_.chunk);
      points.push_back({tokens,
                        {last.all / chunk, last.attention / chunk},
                        seconds,
                        generate(tokens),
                        resident_gib(),
                        kv_gib(tokens)});
      report(points.back());
    }
    return points;
  }

 private:
  // Tokens [before, before + count), and logits of the last.
  Cost step(int64_t before, int64_t count) {
    std::vector<int32_t> tokens, positions;
    for (int64_t i = before; i < before + count; ++i) {
      tokens.push_back(static_cast<int32_t>(i * 7919 % (model_->info.vocabulary - 1) + 1));
      positions.push_back(static_cast<int32_t>(i));
    }
    const ops::KvSequence sequence{0, static_cast<int32_t>(count), static_cast<int32_t>(before),
                                   blocks_.data()};
    ctx_.arena.reset();
    bench::op_seconds.fill(0);
    const double begin = bench::now();
    nn::Pass pass{ctx_, tokens, positions, {&sequence, 1}, kv_.cache()};
    const TensorView hidden = model_->forward(pass);
    static_cast<void>(model_->logits(ctx_, hidden.slice_rows(count - 1, count)));
    return {(bench::now() - begin) * 1e3, bench::op_seconds[kAttention] * 1e3};
  }

  Cost generate(int64_t tokens) {
    std::vector<Cost> costs;
    for (int i = 0; i < kGenerated; ++i) costs.push_back(step(tokens - 1, 1));
    std::sort(costs.begin(), costs.end(),
              [](const Cost& a, const Cost& b) { return a.all < b.all; });
    return costs[kGenerated / 2];
  }

  double kv_gib(int64_t tokens) const {
    const int64_t each = model_->info.kv_bytes_per_token(options_.numbers.kv());
    return static_cast<double>(each * tokens) / (1 << 30);
  }

  static void report(const Point& p) {
    fmt::print(
        stderr,
        "{:>6} tokens  {:>7.3f} ms a token of the prompt (attention {:>7.3f})  {:>6.1f} s in "
        "all  {:>7.2f} ms a generated one (attention {:>6.2f})  {:>5.2f} GiB resident, {:.2f} "
        "of keys and values\n",
        p.tokens, p.prompt_token.all, p.prompt_token.attention, p.prompt_s, p.generated_token.all,
        p.generated_token.attention, p.resident_gib, p.kv_gib);
    fmt::print(R"({{"bench":"long_context","tokens":{},"prompt_token_ms":{:.4f},)"
               R"("prompt_attention_ms":{:.4f},"prompt_s":{:.3f},"generated_ms":{:.4f},)"
               R"("generated_attention_ms":{:.4f},"resident_gib":{:.3f},"kv_gib":{:.3f}}})"
               "\n",
               p.tokens, p.prompt_token.all, p.prompt_token.attention, p.prompt_s,
               p.generated_token.all, p.generated_token.attention, p.resident_gib, p.kv_gib);
    std::fflush(stdout);
  }

  const Options options_;
  backend::cpu::Backend backend_;
  backend::cpu::CpuKernels kernels_;
  ops::Context ctx_;
  std::unique_ptr<models::Model> model_;
  std::vector<int32_t> blocks_;
  runner::KvStorage kv_;
};

std::string charts_of(const std::vector<Point>& points) {
  const auto panel = [&](const char* title, const auto& whole, const auto& part) {
    bench::Chart chart{title, {{"all", {}}, {"attention; of the memory, keys and values", {}}}, {}};
    for (const Point& point : points) {
      chart.x.push_back(static_cast<int32_t>(point.tokens));
      chart.series[0].values.push_back(whole(point));
      chart.series[1].values.push_back(part(point));
    }
    return chart;
  };
  const bench::Chart charts[] = {
      panel(
          "ms a token of the prompt, after so many", [](auto& p) { return p.prompt_token.all; },
          [](auto& p) { return p.prompt_token.attention; }),
      panel(
          "ms a generated token", [](auto& p) { return p.generated_token.all; },
          [](auto& p) { return p.generated_token.attention; }),
      panel(
          "resident memory, GiB", [](auto& p) { return p.resident_gib; },
          [](auto& p) { return p.kv_gib; })};
  return bench::svg("one long text", charts);
}

void run(const Options& options) {
  const auto files = bench::open_model(options.model);
  const std::vector<Point> points = Bench(options, *files).run();
  if (!options.svg.empty()) io::write_file_atomic(options.svg, charts_of(points));
}

}  // namespace
}  // namespace hearth

int main(int argc, char** argv) {
  return hearth::bench::run_or_say_why([&] { hearth::run(hearth::parse(argc, argv)); });
}
