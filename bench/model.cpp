// Where does the time of a step go, and how much of the machine's limits does a whole model reach?
//
//   ./dev bench model MODEL [--quantize q8|q4] [--kv i8|bf16|f32] [--threads N] [--context N]
//                     [--rows 1,4,8,16,32] [--prompt 512] [--chunks 8,16,32 --streams 8 --before 0]
//                     [--seconds S]
//
// MODEL is a Hugging Face folder or a .gguf file (`./dev bench peers` leaves random ones in the
// folder hearth-bench-models of the system's temporary files). Steps of so many sequences that
// generate, each after `context` tokens, and a prompt; with --chunks also steps of `streams` that
// generate and a chunk of a prompt of which `before` tokens are computed. A line says tokens/s, the
// share of the read bandwidth that the weights alone make up, and the time of each op; one JSON
// line each on stdout. What memory gives changes from one moment to the next on a shared machine,
// so it is read before each step: a share is of medians over the same seconds, and once more of the
// best step and the best reading. GOP/s and ops are of the best step, which was disturbed least.
#include "models/model.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fmt/format.h>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/machine_limits.h"
#include "flags.h"
#include "model_files.h"
#include "runner/kv_storage.h"
#include "timed_kernels.h"

namespace hearth {
namespace {

struct Options {
  std::string model;
  bench::Numbers numbers;
  int threads = 0;
  int64_t context = 256;
  int64_t prompt = 512;
  double seconds = 1.0;
  std::vector<int64_t> rows = {1, 4, 8, 16, 32};
  std::vector<int64_t> chunks;
  int64_t streams = 8;
  int64_t before = 0;
};

Options parse(int argc, char** argv) {
  Options options;
  CLI::App app{"Where does the time of a step go?", "./dev bench model"};
  app.option_defaults()->always_capture_default();
  app.add_option("MODEL", options.model, "a folder or a .gguf file")->required();
  bench::add_numbers(app, options.numbers);
  app.add_option("--threads", options.threads, "0: all cores");
  app.add_option("--context", options.context, "tokens before those that are generated");
  app.add_option("--prompt", options.prompt, "tokens of the prompt");
  app.add_option("--seconds", options.seconds, "of each measurement");
  app.add_option("--rows", options.rows, "sequences that generate, separated by commas")
      ->delimiter(',');
  app.add_option("--chunks", options.chunks,
                 "tokens of a prompt beside --streams, separated by commas")
      ->delimiter(',');
  app.add_option("--streams", options.streams, "that generate beside chunks");
  app.add_option("--before", options.before, "tokens of the prompt before a chunk");
  bench::parse_or_exit(app, argc, argv);
  return options;
}

// --- the measurement
// --------------------------------------------------------------------------------------------

// Reads more memory than any cache holds, in pieces, as often as it is asked.
class MemoryReader {
 public:
  MemoryReader() : memory_(DType::kU8, {kBytes}) { std::memset(memory_->data, 1, kBytes); }

  // GB/s; 0: the machine has no such loop.
  double gbytes(ops::Workers& workers) {
    if (loops_.read == nullptr) return 0;
    const double begin = bench::now();
    workers.run(kPieces, [&](int64_t piece, int) {
      static_cast<void>(
          loops_.read(memory_->as<char>() + piece * (kBytes / kPieces), kBytes / kPieces));
    });
    return kBytes / (bench::now() - begin) * 1e-9;
  }

 private:
  static constexpr int64_t kBytes = int64_t{256} << 20, kPieces = 64;
  const backend::cpu::MachineLimits loops_ = backend::cpu::machine_limits();
  Tensor memory_;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

class Bench {
 public:
  Bench(const Options& options, io::FileSource& files)
      : options_(options),
        backend_({.threads = options.threads}),
        kernels_(bench::timed_kernels(backend_.context().kernels)),
        ctx_{kernels_, backend_.context().workers, backend_.context().arena},
        model_(models::load(files, {.quantize = options.numbers.quantize(),
                                    .threads = ctx_.workers.count(),
                                    .kernels = &backend::cpu::quantize_kernels()})),
        blocks_each_(longest(options) / ops::kKvBlockTokens + 1),
        kv_(model_->info, static_cast<int32_t>(blocks_each_ * sequences()), options.numbers.kv()),
        blocks_(static_cast<size_t>(blocks_each_ * sequences())) {
    std::iota(blocks_.begin(), blocks_.end(), 0);
    for (const nn::Projection& each : model_->projections) {
      weight_bytes_ += each.weight.bytes();
      weights_ += each.out * each.in;
    }
    head_bytes_ = model_->head_weight().bytes();
    fmt::print(stderr, "{} threads, {:.0f} MB of projections, {:.0f} of head\n",
               ctx_.workers.count(), double(weight_bytes_) / 1e6, double(head_bytes_) / 1e6);
  }

  void generate(int64_t rows) {
    std::vector<ops::KvSequence> sequences;
    for (int64_t i = 0; i < rows; ++i) {
      sequences.push_back({static_cast<int32_t>(i), 1, static_cast<int32_t>(options_.context),
                           blocks_.data() + i * blocks_each_});
    }
    const std::vector<int32_t> positions(size_t(rows), int32_t(options_.context));
    measure(fmt::format("generate, {} sequences", rows), rows, positions, sequences, rows);
  }

  void prompt() {
    const ops::KvSequence sequence{0, static_cast<int32_t>(options_.prompt), 0, blocks_.data()};
    std::vector<int32_t> positions(static_cast<size_t>(options_.prompt));
    std::iota(positions.begin(), positions.end(), 0);
    measure(fmt::format("prompt of {}", options_.prompt), options_.prompt, positions,
            {&sequence, 1}, 1);
  }

  // Those who generate, and a chunk of a prompt.
  void mixed(int64_t chunk) {
    std::vector<ops::KvSequence> sequences;
    for (int64_t i = 0; i < options_.streams; ++i) {
      sequences.push_back({static_cast<int32_t>(i), 1, static_cast<int32_t>(options_.context),
                           blocks_.data() + i * blocks_each_});
    }
    sequences.push_back({static_cast<int32_t>(options_.streams), static_cast<int32_t>(chunk),
                         static_cast<int32_t>(options_.before),
                         blocks_.data() + options_.streams * blocks_each_});
    std::vector<int32_t> positions(size_t(options_.streams), int32_t(options_.context));
    for (int64_t i = 0; i < chunk; ++i) positions.push_back(int32_t(options_.before + i));
    measure(fmt::format("{} sequences, {} of prompt", options_.streams, chunk),
            options_.streams + chunk, positions, sequences, options_.streams);
  }

 private:
  struct Samples {
    std::vector<double> seconds, read;  // of each step, and GB/s just before it
    std::array<double, bench::kOps.size()> parts{};
  };

  static int64_t longest(const Options& options) {
    int64_t tokens = std::max(options.context, options.prompt) + 1;
    for (const int64_t chunk : options.chunks) tokens = std::max(tokens, options.before + chunk);
    return tokens;
  }
  int64_t sequences() const {
    const int64_t most = *std::max_element(options_.rows.begin(), options_.rows.end());
    return options_.chunks.empty() ? most : std::max(most, options_.streams + 1);
  }

  void step(std::span<const int32_t> tokens, std::span<const int32_t> positions,
            std::span<const ops::KvSequence> sequences, int64_t logits) {
    ctx_.arena.reset();
    nn::Pass pass{ctx_, tokens, positions, sequences, kv_.cache()};
    const TensorView hidden = model_->forward(pass);
    static_cast<void>(model_->logits(ctx_, hidden.slice_rows(0, logits)));
  }

  void measure(const std::string& name, int64_t rows, std::span<const int32_t> positions,
               std::span<const ops::KvSequence> sequences, int64_t logits) {
    const std::vector<int32_t> tokens(static_cast<size_t>(rows), 5);
    Samples samples;
    double best = 1e30, total = 0;
    step(tokens, positions, sequences, logits);
    for (int i = 0; i < 3 || total < options_.seconds; ++i) {
      samples.read.push_back(reader_.gbytes(ctx_.workers));
      bench::op_seconds.fill(0);
      const double begin = bench::now();
      step(tokens, positions, sequences, logits);
      const double seconds = bench::now() - begin;
      total += seconds;
      samples.seconds.push_back(seconds);
      if (seconds < best) best = seconds, samples.parts = bench::op_seconds;
    }
    report(name, rows, samples);
  }

  void report(const std::string& name, int64_t rows, const Samples& samples) const {
    const double seconds = median(samples.seconds), read = median(samples.read);
    const double best = *std::min_element(samples.seconds.begin(), samples.seconds.end());
    const double best_read = *std::max_element(samples.read.begin(), samples.read.end());
    const double gbytes = double(weight_bytes_ + head_bytes_) * 1e-9;
    const double share = read > 0 ? gbytes / seconds / read : 0;
    const double best_share = read > 0 ? gbytes / best / best_read : 0;
    const double gops = 2 * double(weights_) * double(rows) / best * 1e-9;
    std::string text, json;
    for (size_t i = 0; i < bench::kOps.size(); ++i) {
      text += fmt::format(" {} {:.2f}", bench::kOps[i], samples.parts[i] * 1e3);
      json += fmt::format(R"(,"{}_ms":{:.4f})", bench::kOps[i], samples.parts[i] * 1e3);
    }
    fmt::print(
        stderr,
        "{:<26} {:>8.1f} tokens/s {:>9.3f} ms, best {:>9.3f}  read {:>4.1f} of {:>4.1f} GB/s "
        "{:>3.0f} %, best {:>3.0f} %  {:>5.0f} GOP/s |{}\n",
        name, double(rows) / seconds, seconds * 1e3, best * 1e3, gbytes / seconds, read,
        100 * share, 100 * best_share, gops, text);
    fmt::print(
        R"({{"bench":"model","name":"{}","rows":{},"ms":{:.4f},"best_ms":{:.4f},"tokens_per_s":{:.2f},"read_gbytes":{:.2f},"read_share":{:.4f},"best_read_share":{:.4f},"gops":{:.1f}{}}})"
        "\n",
        name, rows, seconds * 1e3, best * 1e3, double(rows) / seconds, read, share, best_share,
        gops, json);
    std::fflush(stdout);
  }

  Options options_;
  backend::cpu::Backend backend_;
  backend::cpu::CpuKernels kernels_;
  ops::Context ctx_;
  std::unique_ptr<models::Model> model_;
  int64_t blocks_each_;
  runner::KvStorage kv_;
  std::vector<int32_t> blocks_;
  int64_t weight_bytes_ = 0, head_bytes_ = 0, weights_ = 0;
  MemoryReader reader_;
};

void run(const Options& options) {
  const auto files = bench::open_model(options.model);
  Bench bench(options, *files);
  for (const int64_t rows : options.rows) bench.generate(rows);
  if (options.prompt > 0) bench.prompt();
  for (const int64_t chunk : options.chunks) bench.mixed(chunk);
}

}  // namespace
}  // namespace hearth

int main(int argc, char** argv) {
  return hearth::bench::run_or_say_why([&] { hearth::run(hearth::parse(argc, argv)); });
}
