// hearth bench kernels: how much of the machine do the kernels use? First its limits (reading
// memory, products on registers), then each kernel's share of the limit that binds it.
#include <CLI/CLI.hpp>
#include <cstring>
#include <fmt/format.h>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "apps/commands.h"
#include "apps/kernel_report.h"
#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/machine_limits.h"
#include "base/random.h"
#include "ops/attention.h"
#include "ops/elementwise.h"
#include "ops/linear.h"
#include "ops/norm.h"
#include "ops/quantize.h"

namespace hearth::apps {
namespace {

using backend::cpu::Backend;
using backend::cpu::MachineLimits;
using Unit = KernelReport::Unit;

struct Limits {
  double read_gbytes = 0.0;
  double f32_gflops = 0.0;
  double bf16_gflops = 0.0;
  double int8_gops = 0.0;
};

Tensor random_weight(Random& random, DType dtype, Shape shape) {
  Tensor tensor(dtype, shape);
  for (int64_t i = 0; i < shape.count(); ++i) {
    const float value = static_cast<float>(random.uniform()) - 0.5f;
    if (dtype == DType::kF32) {
      tensor->as<float>()[i] = value;
    } else {
      tensor->as<uint16_t>()[i] =
          dtype == DType::kF16 ? f16_from_float(value) : bf16_from_float(value);
    }
  }
  return tensor;
}

Limits measure_limits(const KernelReport& report, ops::Workers& workers) {
  const MachineLimits loops = backend::cpu::machine_limits();
  Limits limits;
  if (loops.read == nullptr) return limits;
  constexpr int64_t kBytes = int64_t{256} << 20;  // beyond any cache
  constexpr int64_t kPieces = 64;
  Tensor memory(DType::kU8, {kBytes});
  std::memset(memory->data, 1, kBytes);
  const double read_seconds = report.best_seconds([&] {
    workers.run(kPieces, [&](int64_t piece, int) {
      static_cast<void>(
          loops.read(memory->as<char>() + piece * (kBytes / kPieces), kBytes / kPieces));
    });
  });
  limits.read_gbytes = kBytes / read_seconds * 1e-9;
  report.line("limit read", read_seconds, kBytes, Unit::kGBytes, 0);

  const auto products = [&](const char* name, double (*loop)(int64_t), Unit unit) {
    if (loop == nullptr) return 0.0;
    constexpr int64_t kIterations = 200'000;
    const double flops = loop(1) * kIterations * workers.count();
    const double seconds = report.best_seconds([&] {
      workers.run(workers.count(), [&](int64_t, int) { static_cast<void>(loop(kIterations)); });
    });
    report.line(name, seconds, flops, unit, 0);
    return flops / seconds * 1e-9;
  };
  limits.f32_gflops = products("limit f32 products", loops.f32_products, Unit::kGFlops);
  limits.bf16_gflops = products("limit bf16 products", loops.bf16_products, Unit::kGFlops);
  limits.int8_gops = products("limit int8 products", loops.int8_products, Unit::kGOps);
  return limits;
}

// Weights beyond the caches, so that each call reads them from memory.
void linear_decode(const KernelReport& report, ops::Context& ctx, const Limits& limits) {
  Random random(1);
  const int64_t shapes[][2] = {{768, 3072}, {2048, 2048}, {2048, 8192}, {8192, 2048}, {1000, 4000}};
  for (DType dtype : {DType::kBF16, DType::kF16, DType::kF32}) {
    for (const auto& [in, out] : shapes) {
      for (int64_t rows : {1, 4, 16}) {
        if (rows > 1 && (dtype != DType::kBF16 || out != 8192)) continue;
        const std::string name =
            fmt::format("linear {} {} rows {} -> {}", to_string(dtype), rows, in, out);
        if (!report.wants(name)) continue;
        const auto bytes = in * out * static_cast<int64_t>(dtype_bytes(dtype));
        const int64_t copies = (int64_t{160} << 20) / bytes + 1;
        const Tensor matrices = random_weight(random, dtype, {copies * out, in});
        const Tensor x = random_weight(random, DType::kF32, {rows, in});
        const Tensor y(DType::kF32, {rows, out});
        const double seconds = report.best_seconds([&] {
          for (int64_t i = 0; i < copies; ++i) {
            const ops::Weight w = ops::weight_view(matrices->slice_rows(i * out, (i + 1) * out));
            ops::linear(ctx, x, w, {}, y);
          }
        });
        report.line(name, seconds, static_cast<double>(bytes * copies), Unit::kGBytes,
                    limits.read_gbytes);
      }
    }
  }
}

void linear_prompt(const KernelReport& report, ops::Context& ctx, const Limits& limits) {
  Random random(2);
  const int64_t shapes[][2] = {{768, 3072}, {2048, 2048}, {2048, 8192}, {8192, 2048}};
  for (DType dtype : {DType::kBF16, DType::kF16, DType::kF32}) {
    for (const auto& [in, out] : shapes) {
      for (int64_t rows : {64, 512}) {
        const std::string name =
            fmt::format("linear {} {} rows {} -> {}", to_string(dtype), rows, in, out);
        if (!report.wants(name) || (rows == 64 && dtype != DType::kBF16)) continue;
        const Tensor w = random_weight(random, dtype, {out, in});
        const Tensor x = random_weight(random, DType::kF32, {rows, in});
        const Tensor y(DType::kF32, {rows, out});
        const ops::Weight weight = ops::weight_view(w);
        const double seconds = report.best_seconds([&] { ops::linear(ctx, x, weight, {}, y); });
        const bool bf16 = dtype == DType::kBF16 && limits.bf16_gflops > 0;
        report.line(name, seconds, 2.0 * static_cast<double>(rows * in * out), Unit::kGFlops,
                    bf16 ? limits.bf16_gflops : limits.f32_gflops);
      }
    }
  }
}

// The same packed weight elsewhere in memory.
ops::Weight copy_of(const ops::Weight& weight) {
  ops::Weight copy;
  copy.format = weight.format;
  copy.out = weight.out;
  copy.in = weight.in;
  copy.owned = Buffer(weight.owned.bytes());
  std::memcpy(copy.owned.data(), weight.owned.data(), weight.owned.bytes());
  const auto moved = [&](TensorView view) {
    const auto offset =
        static_cast<char*>(view.data) - static_cast<const char*>(weight.owned.data());
    view.data = static_cast<char*>(copy.owned.data()) + offset;
    return view;
  };
  copy.matrix = moved(weight.matrix);
  copy.scales = moved(weight.scales);
  return copy;
}

// Few rows read weights beyond the caches, hundreds compute.
void linear_quantized(const KernelReport& report, ops::Context& ctx, const Limits& limits) {
  constexpr int64_t kRowsFromMemory = 16;
  Random random(5);
  const int64_t shapes[][2] = {{768, 3072}, {2048, 2048}, {2048, 8192}, {8192, 2048}};
  for (const auto format : {ops::WeightFormat::kQ8, ops::WeightFormat::kQ4}) {
    for (const auto& [in, out] : shapes) {
      std::vector<ops::Weight> weights;
      for (int64_t rows : {1, 4, 16, 64, 512}) {
        const std::string name =
            fmt::format("linear {} {} rows {} -> {}", to_string(format), rows, in, out);
        if (!report.wants(name)) continue;
        if (weights.empty()) {
          const Tensor matrix = random_weight(random, DType::kBF16, {out, in});
          weights.push_back(ops::quantize(matrix, format, report.threads(), "random"));
          const int64_t copies = (int64_t{160} << 20) / weights[0].bytes();
          for (int64_t i = 0; i < copies; ++i) weights.push_back(copy_of(weights[0]));
        }
        const size_t count = rows <= kRowsFromMemory ? weights.size() : 1;
        const Tensor x = random_weight(random, DType::kF32, {rows, in});
        const Tensor y(DType::kF32, {rows, out});
        const double seconds = report.best_seconds([&] {
          for (size_t i = 0; i < count; ++i) ops::linear(ctx, x, weights[i], {}, y);
        });
        if (rows <= kRowsFromMemory) {
          report.line(name, seconds, static_cast<double>(weights[0].bytes()) * double(count),
                      Unit::kGBytes, limits.read_gbytes);
        } else {
          report.line(name, seconds, 2.0 * static_cast<double>(rows * in * out), Unit::kGOps,
                      limits.int8_gops);
        }
      }
    }
  }
}

// 32 query heads, 8 kv heads of 128: an 8 B model's layer. `rows` new tokens after `context`.
void attention(const KernelReport& report, ops::Context& ctx, const Limits& limits, DType dtype) {
  constexpr int64_t kHeads = 32, kKvHeads = 8, kHeadDim = 128;
  for (const auto& [rows, context] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1024}, {1, 8192}, {1, 32768}, {512, 512}, {512, 8192}, {512, 32768}}) {
    const std::string name =
        fmt::format("attention {} {} rows at {}", to_string(dtype), rows, context);
    if (!report.wants(name)) continue;
    const int64_t blocks = context / ops::kKvBlockTokens;
    const int64_t bytes = ops::kv_bytes(dtype, blocks, kKvHeads, kHeadDim);
    Random random(3);
    const Tensor keys(DType::kU8, {bytes}), values(DType::kU8, {bytes});
    const ops::KvPages pages =
        ops::kv_pages(keys->data, values->data, dtype, blocks, kKvHeads, kHeadDim);
    const Tensor stored = random_weight(random, DType::kF32, {context, kKvHeads * kHeadDim});
    const TensorView heads(stored->data, DType::kF32, {context, kKvHeads, kHeadDim});
    const Tensor q = random_weight(random, DType::kF32, {rows, kHeads, kHeadDim});
    const Tensor out(DType::kF32, {rows, kHeads, kHeadDim});
    std::vector<int32_t> table(static_cast<size_t>(blocks));
    std::iota(table.begin(), table.end(), 0);
    random.shuffle(std::span(table));
    const ops::KvSequence whole = {0, static_cast<int32_t>(context), 0, table.data()};
    ops::kv_store(ctx, heads, heads, {&whole, 1}, pages);
    const ops::KvSequence sequence = {0, static_cast<int32_t>(rows),
                                      static_cast<int32_t>(context - rows), table.data()};
    const double seconds = report.best_seconds([&] {
      ops::attention(ctx, q, {&sequence, 1}, pages, {.scale = 0.088f}, out);
    });
    if (rows == 1) {
      report.line(name, seconds, 2.0 * static_cast<double>(bytes), Unit::kGBytes,
                  limits.read_gbytes);
    } else {
      const double seen = static_cast<double>(rows) *
                          (static_cast<double>(context) - static_cast<double>(rows - 1) / 2.0);
      report.line(name, seconds, 4.0 * seen * kHeads * kHeadDim, Unit::kGFlops, limits.f32_gflops);
    }
  }
}

// Work on rows, in bytes read and written; these live in caches, so there is no share to show.
void rows(const KernelReport& report, ops::Context& ctx) {
  constexpr int64_t kRows = 512, kN = 2048;
  Random random(4);
  const Tensor x = random_weight(random, DType::kF32, {kRows, kN});
  const Tensor z = random_weight(random, DType::kF32, {kRows, kN});
  const Tensor y(DType::kF32, {kRows, kN});
  const Tensor weight = random_weight(random, DType::kF32, {kN});
  const auto measure = [&](const std::string& name, double streams,
                           const std::function<void()>& run) {
    if (!report.wants(name)) return;
    report.line(name, report.best_seconds(run), streams * 4.0 * kRows * kN, Unit::kGBytes, 0);
  };
  measure("rms_norm 512 rows of 2048", 2, [&] { ops::rms_norm(ctx, x, {.weight = weight}, y); });
  measure("layer_norm 512 rows of 2048", 2,
          [&] { ops::layer_norm(ctx, x, {.weight = weight}, y); });
  measure("gated silu 512 rows of 2048", 3,
          [&] { ops::gated_activate(ctx, ops::Activation::kSilu, x, z, y); });
  measure("gated gelu 512 rows of 2048", 3,
          [&] { ops::gated_activate(ctx, ops::Activation::kGelu, x, z, y); });
}

struct BenchKernels {
  std::string filter;
  int threads = 0;
  bool json = false;
};

void measure_kernels(const BenchKernels& options, int threads) {
  Backend backend({.threads = threads});
  ops::Context ctx = backend.context();
  const KernelReport report(options.filter, ctx.workers.count(),
                            options.json ? KernelReport::Form::kJson : KernelReport::Form::kTable);
  const Limits limits = measure_limits(report, ctx.workers);
  linear_decode(report, ctx, limits);
  linear_prompt(report, ctx, limits);
  linear_quantized(report, ctx, limits);
  for (DType dtype : {DType::kBF16, DType::kI8}) attention(report, ctx, limits, dtype);
  rows(report, ctx);
}

void run_bench_kernels(const BenchKernels& options) {
  if (options.threads > 0) return measure_kernels(options, options.threads);
  measure_kernels(options, 1);
  if (backend::cpu::usable_cores() > 1) measure_kernels(options, 0);
}

}  // namespace

void add_bench_kernels(CLI::App& bench) {
  CLI::App* command = bench.add_subcommand(
      "kernels", "Measure this machine's limits and each kernel's share of them");
  auto options = std::make_shared<BenchKernels>();
  command->add_option("FILTER", options->filter,
                      "Only kernels whose name contains this, such as 'q4' or 'attention'; "
                      "'limit': none, only the machine's limits");
  command
      ->add_option("--threads", options->threads, "0: first with one, then with one for each core")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_flag("--json", options->json, "A line of JSON for each measurement, and no table");
  command->footer(
      "  hearth bench kernels\n"
      "  hearth bench kernels q4 --threads 8\n"
      "Each figure is the best of several short runs: on a machine that does other work too, the "
      "one that was disturbed least. With one thread its processor time counts, with more the "
      "time on the clock.");
  command->callback([options] { run_bench_kernels(*options); });
}

}  // namespace hearth::apps
