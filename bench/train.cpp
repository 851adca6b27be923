// How fast does the trainer train, and how much of the machine's arithmetic is that?
//
//   ./dev bench train [--model 10m|124m] [--precision bf16|f32] [--threads N] [--ranks N]
//                     [--steps N] [--tokens N] [--context N]
//
// Whole updates (forward, backward, summing over ranks, clipping, AdamW) of random tokens in full
// documents, `tokens` of all ranks together. Without flags: both models, both precisions, one
// thread, all cores by threads, all cores by ranks of one thread. Ranks are processes on sockets,
// as those of `hearth train --ranks`. The peak is a large matrix product of the same precision on
// the same threads and ranks, measured in the same run; `register_gflops` is the limit of the
// vector units, for products that never leave registers. One JSON line a measurement on stdout, a
// table on stderr; the figure is the best of the steps, because on a shared machine that is the one
// that was disturbed least.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fmt/format.h>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "backend/cpu/machine_limits.h"
#include "backend/cpu/thread_pool.h"
#include "backend/cpu/train_kernels.h"
#include "base/clock.h"
#include "base/random.h"
#include "flags.h"
#include "io/json.h"
#include "ops/matmul.h"
#include "ops/optimizer.h"
#include "train/collective.h"
#include "train/gradient_reducer.h"
#include "train/model.h"
#include "train/optimizer.h"
#include "train/shard_plan.h"
#include "train/socket_wire.h"
#include "train/weight_gather.h"

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
  int threads = 0;        // of a rank; 0 with ranks 0: one, and all cores
  int ranks = 0;          // 0 with threads 0: one, and a rank for each core
  int steps = 5;          // measured, after one that is not
  int64_t tokens = 4096;  // of an update
  int64_t context = 0;    // 0: the model's
};

// With one thread in all the processor time of this thread, which leaves out the time slices of
// other programs; with more, the time on the wall.
class Stopwatch {
 public:
  Stopwatch(const ops::TrainContext& ctx, int ranks)
      : clock_(ctx.workers.count() * ranks == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC),
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
double product_peak(ops::TrainContext& ctx, int ranks, DType dtype) {
  constexpr int64_t kSize = 1024;
  constexpr int kRuns = 12;
  const Tensor a = Tensor::zeros(dtype, {2 * kSize, kSize});
  const Tensor b = Tensor::zeros(dtype, {kSize, kSize});
  const Tensor c(DType::kF32, {2 * kSize, kSize});
  double best = 0;
  for (int i = 0; i < kRuns; ++i) {
    const Stopwatch watch(ctx, ranks);
    ops::matmul(ctx, {a, ops::Transpose::kNo, b, ops::Transpose::kYes, c, ops::Store::kReplace});
    best = std::max(best, 4.0 * kSize * kSize * kSize / watch.seconds());
  }
  return best;
}

// Of all threads at once; 0 where the machine has no such products.
double register_peak(ops::TrainContext& ctx, int ranks, DType dtype) {
  const auto limits = backend::cpu::machine_limits();
  const auto loop = dtype == DType::kBF16 ? limits.bf16_products : limits.f32_products;
  if (loop == nullptr) return 0;
  constexpr int64_t kIterations = 1'000'000;
  const int threads = ctx.workers.count();
  double best = 0;
  for (int i = 0; i < 3; ++i) {
    std::vector<double> done(static_cast<size_t>(threads));
    const Stopwatch watch(ctx, ranks);
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

train::Batch random_batch(const Shape& s, int64_t context, int64_t tokens, int rank) {
  Random random(2 + static_cast<uint64_t>(rank));
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

// One rank's part of a run: what train::Trainer does in a step, without its data and checkpoints.
class Run {
 public:
  Run(const Shape& shape, DType dtype, const Options& options, ops::TrainContext ctx,
      train::Collective& ranks)
      : ctx_(ctx),
        ranks_(ranks),
        context_(options.context > 0 ? options.context : shape.context),
        batch_(random_batch(shape, context_, options.tokens / ranks.size(), ranks.rank())),
        model_(make(shape, dtype, ctx_)),
        plan_(train::make_shard_plan(model_->parameters(), train::OptimizerKind::kAdamw,
                                     ranks.size(), kBucketBytes)),
        optimizer_({}, model_->parameters(), plan_.owned_by(ranks.rank())),
        weights_(ranks, model_->parameters(), plan_),
        reducer_(ranks, model_->parameters(), plan_, train::ZeroStage::kOne, clock_) {
    weights_.release_others();
  }

  void update() {
    reducer_.clear();
    reducer_.start_round("gradients");
    model_->forward_backward(ctx_, batch_, 1.0f / static_cast<float>(tokens()),
                             [this](int64_t from) { reducer_.ready(from); });
    reducer_.ready(0);
    reducer_.finish_round();
    const TensorView gradients = reducer_.gradients();
    double squares[] = {ops::sum_squares(ctx_, gradients)};
    ranks_.all_reduce(squares, "norm");
    const double norm = std::sqrt(squares[0]);
    optimizer_.step(ctx_, model_->parameters(), gradients, 1e-4, norm > 1 ? 1 / norm : 1.0);
    weights_.share(ctx_, "weights");
  }
  // Of an update, all ranks together.
  int64_t tokens() const { return batch_.tokens() * ranks_.size(); }
  int64_t context() const { return context_; }
  int64_t parameters() const { return model_->parameters().count(); }
  double flops_per_token() const { return model_->flops_per_token(static_cast<double>(context_)); }

 private:
  static constexpr int64_t kBucketBytes = 8 << 20;

  ops::TrainContext ctx_;
  train::Collective& ranks_;
  int64_t context_;
  train::Batch batch_;
  std::unique_ptr<train::Model> model_;
  train::ShardPlan plan_;
  train::Optimizer optimizer_;
  train::WeightGather weights_;
  const SystemClock clock_;
  train::GradientReducer reducer_;
};

struct Result {
  double seconds = 1e300;  // of the best update
  int64_t tokens = 0, context = 0, parameters = 0;
  double flops_per_token = 0;
  double peak = 0, registers = 0;  // operations a second, all ranks together
};

Result measure_as(const Shape& shape, DType dtype, int threads, const Options& options,
                  train::Wire* wire) {
  backend::cpu::ThreadPool pool(threads);
  ops::Scratch scratch;
  ops::TrainContext ctx{backend::cpu::train_kernels(), pool, scratch};
  train::Collective ranks(wire);
  ranks.barrier("peak");
  double peaks[] = {product_peak(ctx, ranks.size(), dtype),
                    register_peak(ctx, ranks.size(), dtype)};
  ranks.all_reduce(peaks, "peak");
  Run run(shape, dtype, options, ctx, ranks);
  Result result;
  for (int i = 0; i <= options.steps; ++i) {
    ranks.barrier("update");
    const Stopwatch watch(ctx, ranks.size());
    run.update();
    if (i > 0) result.seconds = std::min(result.seconds, watch.seconds());
  }
  result.tokens = run.tokens();
  result.context = run.context();
  result.parameters = run.parameters();
  result.flops_per_token = run.flops_per_token();
  result.peak = peaks[0];
  result.registers = peaks[1];
  return result;
}

// This process is rank 0; the others are forked, and end with it.
Result measure_on_ranks(const Shape& shape, DType dtype, int threads, int ranks,
                        const Options& options) {
  constexpr Nanos kTimeout = 600 * kSecond;
  const std::vector<std::vector<int>> mesh = train::make_socket_mesh(ranks);
  const SystemClock clock;
  std::vector<pid_t> others;
  int rank = 0;
  for (int other = 1; other < ranks && rank == 0; ++other) {
    const pid_t pid = ::fork();
    if (pid < 0) throw_error(ErrorCode::kIo, "--ranks", "rank {} could not be started", other);
    if (pid == 0) {
      rank = other;
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    } else {
      others.push_back(pid);
    }
  }
  for (int row = 0; row < ranks; ++row) {
    for (const int socket : mesh[static_cast<size_t>(row)]) {
      if (row != rank && socket >= 0) ::close(socket);
    }
  }
  Result result;
  {
    train::SocketWire wire(rank, mesh[static_cast<size_t>(rank)], kTimeout, clock);
    result = measure_as(shape, dtype, threads, options, &wire);
  }
  if (rank > 0) std::_Exit(0);
  for (const pid_t pid : others) ::waitpid(pid, nullptr, 0);
  return result;
}

void measure(const Shape& shape, DType dtype, int threads, int ranks, const Options& options) {
  const Result r = ranks == 1 ? measure_as(shape, dtype, threads, options, nullptr)
                              : measure_on_ranks(shape, dtype, threads, ranks, options);
  const double rate = static_cast<double>(r.tokens) / r.seconds;
  const double flops = rate * r.flops_per_token;
  const char* precision = dtype == DType::kBF16 ? "bf16" : "f32";
  fmt::print(
      R"({{"bench":"train","model":"{}","parameters":{},"precision":"{}","threads":{},"ranks":{},)"
      R"("tokens":{},"context":{},"tokens_per_second":{:.1f},"gflops":{:.1f},)"
      R"("peak_gflops":{:.1f},"share_of_peak":{:.3f},"register_gflops":{:.1f}}})"
      "\n",
      shape.name, r.parameters, precision, threads, ranks, r.tokens, r.context, rate, flops / 1e9,
      r.peak / 1e9, flops / r.peak, r.registers / 1e9);
  std::fflush(stdout);
  fmt::print(stderr,
             "{:<6} {:<5} {:>2} rank {:>2} thr {:>9.0f} tokens/s {:>7.1f} GFLOP/s {:>4.0f} % of "
             "{:.0f}\n",
             shape.name, precision, ranks, threads, rate, flops / 1e9, 100 * flops / r.peak,
             r.peak / 1e9);
}

Options parse(int argc, char** argv) {
  Options options;
  CLI::App app{"How fast does the trainer train?", "./dev bench train"};
  app.add_option("--model", options.model, "10m or 124m; both without")
      ->check(CLI::IsMember({"10m", "124m"}));
  app.add_option("--precision", options.precision, "bf16 or f32; both without")
      ->check(CLI::IsMember({"bf16", "f32"}));
  app.add_option("--threads", options.threads, "of a rank");
  app.add_option("--ranks", options.ranks, "processes");
  app.add_option("--steps", options.steps, "the best of which counts");
  app.add_option("--tokens", options.tokens, "of a step");
  app.add_option("--context", options.context, "of a document; 0: the model's");
  bench::parse_or_exit(app, argc, argv);
  return options;
}

struct Setting {
  int threads = 1;
  int ranks = 1;
};

std::vector<Setting> settings(const Options& options) {
  if (options.threads > 0 || options.ranks > 0) {
    return {{std::max(1, options.threads), std::max(1, options.ranks)}};
  }
  const int cores = backend::cpu::usable_cores();
  if (cores == 1) return {{1, 1}};
  return {{1, 1}, {cores, 1}, {1, cores}};
}

void run(const Options& options) {
  for (const Shape& shape : kShapes) {
    if (!options.model.empty() && options.model != shape.name) continue;
    for (const DType dtype : {DType::kBF16, DType::kF32}) {
      const char* name = dtype == DType::kBF16 ? "bf16" : "f32";
      if (!options.precision.empty() && options.precision != name) continue;
      for (const Setting& s : settings(options)) {
        measure(shape, dtype, s.threads, s.ranks, options);
      }
    }
  }
}

}  // namespace
}  // namespace hearth

int main(int argc, char** argv) {
  return hearth::bench::run_or_say_why([&] { hearth::run(hearth::parse(argc, argv)); });
}
