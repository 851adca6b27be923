// How fast does the trainer train, and how much of the machine's arithmetic is that?
//
//   ./dev bench train [--model 10m|124m] [--precision bf16|f32] [--threads N] [--steps N] [--tokens
//   N]
//                     [--context N]
//
// Whole updates (forward, backward, clipping, AdamW) of random tokens in full documents. Without
// flags: both models, both precisions, one thread and all cores. The peak is a large matrix product
// of the same precision on the same threads, measured in the same run; `register_gflops` is the
// limit of the vector units, for products that never leave registers. One JSON line a measurement
// on stdout, a table on stderr; the figure is the best of the steps, because on a shared machine
// that is the one that was disturbed least.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fmt/format.h>
#include <string>
#include <vector>

#include "backend/cpu/machine_limits.h"
#include "backend/cpu/thread_pool.h"
#include "backend/cpu/train_kernels.h"
#include "base/random.h"
#include "io/json.h"
#include "ops/matmul.h"
#include "ops/optimizer.h"
#include "train/model.h"
#include "train/optimizer.h"

namespace hearth {
namespace {

struct Shape {
  const char* name;
  int64_t hidden, intermediate, layers, heads, vocab, context;
};
constexpr Shape kShapes[] = {
    {"10m", 320, 864, 6, 5, 8192, 512},
    {"124m", 768, 2048, 12, 12, 50304, 1024},  // GPT-2 small as a Llama
};

struct Options {
  std::string model;      // empty: all
  std::string precision;  // empty: both
  int threads = 0;        // 0: one, and all cores
  int steps = 5;          // measured, after one that is not
  int64_t tokens = 4096;  // of an update
  int64_t context = 0;    // 0: the model's
};

// With one thread the processor time of this thread, which leaves out the time slices of other
// programs; with more, the time on the wall.
class Stopwatch {
 public:
  explicit Stopwatch(const ops::TrainContext& ctx)
      : clock_(ctx.workers.count() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC),
        begin_(now()) {}
  double seconds() const { return std::max(1e-9, now() - begin_); }

 private:
  double now() const {
    timespec time;
    clock_gettime(clock_, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  }
  clockid_t clock_;
  double begin_;
};

// Operations a second of a large product: the best of a few.
double product_peak(ops::TrainContext& ctx, DType dtype) {
  constexpr int64_t kSize = 1024;
  constexpr int kRuns = 12;
  const Tensor a = Tensor::zeros(dtype, {2 * kSize, kSize});
  const Tensor b = Tensor::zeros(dtype, {kSize, kSize});
  const Tensor c(DType::kF32, {2 * kSize, kSize});
  double best = 0;
  for (int i = 0; i < kRuns; ++i) {
    const Stopwatch watch(ctx);
    ops::matmul(ctx, {a, ops::Transpose::kNo, b, ops::Transpose::kYes, c, ops::Store::kReplace});
    best = std::max(best, 4.0 * kSize * kSize * kSize / watch.seconds());
  }
  return best;
}

// Of all threads at once; 0 where the machine has no such products.
double register_peak(ops::TrainContext& ctx, DType dtype) {
  const auto limits = backend::cpu::machine_limits();
  const auto loop = dtype == DType::kBF16 ? limits.bf16_products : limits.f32_products;
  if (loop == nullptr) return 0;
  constexpr int64_t kIterations = 1'000'000;
  const int threads = ctx.workers.count();
  double best = 0;
  for (int i = 0; i < 3; ++i) {
    std::vector<double> done(static_cast<size_t>(threads));
    const Stopwatch watch(ctx);
    ctx.workers.run(
        threads, [&](int64_t task, int) { done[static_cast<size_t>(task)] = loop(kIterations); });
    double sum = 0;
    for (double operations : done) sum += operations;
    best = std::max(best, sum / watch.seconds());
  }
  return best;
}

std::unique_ptr<train::Model> make(const Shape& s, DType dtype, ops::TrainContext& ctx) {
  auto model = train::make_model({{"model_type", "llama"},
                                  {"vocab_size", s.vocab},
                                  {"hidden_size", s.hidden},
                                  {"intermediate_size", s.intermediate},
                                  {"num_hidden_layers", s.layers},
                                  {"num_attention_heads", s.heads},
                                  {"max_position_embeddings", s.context},
                                  {"tie_word_embeddings", true}},
                                 {.compute = dtype}, "bench");
  Random random(1);
  model->parameters().initialise(random);
  model->parameters().refresh(ctx);
  return model;
}

train::Batch random_batch(const Shape& s, int64_t context, int64_t tokens) {
  Random random(2);
  train::Batch batch;
  while (batch.tokens() < tokens) {
    const int64_t length = std::min(context, tokens - batch.tokens());
    std::vector<int32_t> document(static_cast<size_t>(length) + 1);
    for (int32_t& id : document) {
      id = static_cast<int32_t>(random.below(static_cast<uint64_t>(s.vocab)));
    }
    batch.append(document);
  }
  return batch;
}

void update(ops::TrainContext& ctx, train::Model& model, train::Optimizer& optimizer,
            const train::Batch& batch) {
  train::Parameters& parameters = model.parameters();
  parameters.clear_gradients();
  model.forward_backward(ctx, batch, 1.0f / static_cast<float>(batch.target_count()));
  const double norm = std::sqrt(ops::sum_squares(ctx, parameters.flat_gradient()));
  optimizer.step(ctx, parameters, parameters.flat_gradient(), 1e-4, norm > 1 ? 1 / norm : 1.0);
}

void measure(const Shape& shape, DType dtype, int threads, const Options& options) {
  backend::cpu::ThreadPool pool(threads);
  ops::Scratch scratch;
  ops::TrainContext ctx{backend::cpu::train_kernels(), pool, scratch};
  const double peak = product_peak(ctx, dtype);
  const double registers = register_peak(ctx, dtype);
  const auto model = make(shape, dtype, ctx);
  train::Optimizer optimizer({}, model->parameters());
  const int64_t context = options.context > 0 ? options.context : shape.context;
  const train::Batch batch = random_batch(shape, context, options.tokens);
  double best = 1e300;
  for (int i = 0; i <= options.steps; ++i) {
    const Stopwatch watch(ctx);
    update(ctx, *model, optimizer, batch);
    if (i > 0) best = std::min(best, watch.seconds());
  }
  const double rate = static_cast<double>(batch.tokens()) / best;
  const double flops = rate * model->flops_per_token(static_cast<double>(context));
  const char* precision = dtype == DType::kBF16 ? "bf16" : "f32";
  fmt::print(
      R"({{"bench":"train","model":"{}","parameters":{},"precision":"{}","threads":{},"tokens":{},)"
      R"("context":{},"tokens_per_second":{:.1f},"gflops":{:.1f},"peak_gflops":{:.1f},)"
      R"("share_of_peak":{:.3f},"register_gflops":{:.1f}}})"
      "\n",
      shape.name, model->parameters().count(), precision, threads, batch.tokens(), context, rate,
      flops / 1e9, peak / 1e9, flops / peak, registers / 1e9);
  std::fflush(stdout);
  fmt::print(stderr,
             "{:<6} {:<5} {:>2} thr {:>9.0f} tokens/s {:>7.1f} GFLOP/s {:>4.0f} % of {:.0f}\n",
             shape.name, precision, threads, rate, flops / 1e9, 100 * flops / peak, peak / 1e9);
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    const char* value = argv[i + 1];
    if (flag == "--model") {
      options.model = value;
    } else if (flag == "--precision") {
      options.precision = value;
    } else if (flag == "--threads") {
      options.threads = std::atoi(value);
    } else if (flag == "--steps") {
      options.steps = std::atoi(value);
    } else if (flag == "--tokens") {
      options.tokens = std::atoll(value);
    } else if (flag == "--context") {
      options.context = std::atoll(value);
    } else {
      fmt::print(stderr, "unknown flag {}; see bench/train.cpp\n", flag);
      std::exit(2);
    }
  }
  return options;
}

void run(const Options& options) {
  std::vector<int> threads = {options.threads};
  if (options.threads == 0) {
    threads = {1};
    const int cores = backend::cpu::ThreadPool(0).count();
    if (cores > 1) threads.push_back(cores);
  }
  for (const Shape& shape : kShapes) {
    if (!options.model.empty() && options.model != shape.name) continue;
    for (const DType dtype : {DType::kBF16, DType::kF32}) {
      const char* name = dtype == DType::kBF16 ? "bf16" : "f32";
      if (!options.precision.empty() && options.precision != name) continue;
      for (int count : threads) measure(shape, dtype, count, options);
    }
  }
}

}  // namespace
}  // namespace hearth

int main(int argc, char** argv) { hearth::run(hearth::parse(argc, argv)); }
