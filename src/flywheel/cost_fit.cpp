#include "flywheel/cost_fit.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <vector>

#include "base/error.h"

namespace hearth::flywheel {
namespace {

using engine::CostModel;
using engine::StepWork;

constexpr size_t kFeatures = 7;
constexpr size_t kPromptToken = 1;
constexpr double kPicosPerNano = 1000;
constexpr double kShortStep = 3;  // shorter than a third of the longest

using Row = std::array<double, kFeatures>;

Row features(const StepWork& work) {
  return {1.0,
          static_cast<double>(work.prompt_tokens),
          static_cast<double>(work.prompt_context),
          static_cast<double>(work.generating),
          static_cast<double>(work.generating_context),
          static_cast<double>(work.adapters),
          static_cast<double>(work.adapter_rows)};
}

// What an error is a share of: the step, or a part of the longest where it is shorter than that. A
// budget is for full steps; that short ones are bound by something else shall not bend them.
double measure_of(const StepSample& sample, Nanos longest) {
  return std::max<double>(static_cast<double>(sample.duration),
                          std::max<double>(static_cast<double>(longest) / kShortStep, 1));
}

Nanos longest_of(std::span<const StepSample> samples) {
  Nanos longest = 0;
  for (const StepSample& sample : samples) longest = std::max(longest, sample.duration);
  return longest;
}

// The normal equations of all features, of which subsets are solved.
struct Normal {
  std::array<Row, kFeatures> matrix{};
  Row right{};
  Row scale{};  // of columns, so that they are comparable
  double square = 0;

  explicit Normal(std::span<const StepSample> samples) {
    const Nanos longest = longest_of(samples);
    for (const StepSample& sample : samples) {
      const Row row = features(sample.work);
      const double weight = 1 / measure_of(sample, longest);
      for (size_t i = 0; i < kFeatures; ++i) {
        for (size_t j = 0; j < kFeatures; ++j) matrix[i][j] += row[i] * row[j] * weight * weight;
        right[i] += row[i] * weight * weight * static_cast<double>(sample.duration);
      }
      square += std::pow(weight * static_cast<double>(sample.duration), 2);
    }
    for (size_t i = 0; i < kFeatures; ++i) {
      scale[i] = matrix[i][i] > 0 ? 1 / std::sqrt(matrix[i][i]) : 0;
    }
  }
};

// Cholesky on the chosen features; nothing where they depend on each other.
std::optional<Row> solve(const Normal& normal, const std::vector<size_t>& chosen) {
  constexpr double kLeastPivot = 1e-9;  // of columns of length 1
  const size_t n = chosen.size();
  std::array<Row, kFeatures> lower{};
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j <= i; ++j) {
      const size_t a = chosen[i], b = chosen[j];
      double sum = normal.matrix[a][b] * normal.scale[a] * normal.scale[b];
      for (size_t k = 0; k < j; ++k) sum -= lower[i][k] * lower[j][k];
      if (i == j && sum < kLeastPivot) return std::nullopt;
      lower[i][j] = i == j ? std::sqrt(sum) : sum / lower[j][j];
    }
  }
  Row half{};
  for (size_t i = 0; i < n; ++i) {
    double sum = normal.right[chosen[i]] * normal.scale[chosen[i]];
    for (size_t k = 0; k < i; ++k) sum -= lower[i][k] * half[k];
    half[i] = sum / lower[i][i];
  }
  Row solution{};
  for (size_t i = n; i-- > 0;) {
    double sum = half[i];
    for (size_t k = i + 1; k < n; ++k) sum -= lower[k][i] * solution[chosen[k]];
    solution[chosen[i]] = sum / lower[i][i];
  }
  for (const size_t each : chosen) solution[each] *= normal.scale[each];
  return solution;
}

double residual(const Normal& normal, const Row& solution) {
  double sum = normal.square;
  for (size_t i = 0; i < kFeatures; ++i) {
    sum -= 2 * solution[i] * normal.right[i];
    for (size_t j = 0; j < kFeatures; ++j) {
      sum += solution[i] * normal.matrix[i][j] * solution[j];
    }
  }
  return sum;
}

Row best_solution(const Normal& normal) {
  Row best{};
  double least = normal.square;
  for (unsigned set = 1; set < 1u << kFeatures; ++set) {
    std::vector<size_t> chosen;
    for (size_t i = 0; i < kFeatures; ++i) {
      if ((set >> i & 1) != 0 && normal.scale[i] > 0) chosen.push_back(i);
    }
    const auto solution = solve(normal, chosen);
    if (!solution || *std::min_element(solution->begin(), solution->end()) < 0) continue;
    const double left = residual(normal, *solution);
    if (left < least) {
      least = left;
      best = *solution;
    }
  }
  return best;
}

}  // namespace

CostModel fit_costs(std::span<const StepSample> samples) {
  if (samples.size() < kFeatures) {
    throw_error(ErrorCode::kInvalidArgument, "samples", "a fit takes {} measured steps, got {}",
                kFeatures, samples.size());
  }
  const Row row = best_solution(Normal(samples));
  const auto ps = [&](size_t i) {
    return static_cast<int64_t>(std::llround(row[i] * kPicosPerNano));
  };
  if (ps(kPromptToken) <= 0) {
    throw_error(ErrorCode::kInvalidArgument, "samples",
                "the measured steps do not tell what a prompt token takes; measure longer, on a "
                "quieter machine");
  }
  return {ps(0), ps(1), ps(2), ps(3), ps(4), ps(5), ps(6)};
}

FitError error_of(const CostModel& costs, std::span<const StepSample> samples) {
  std::vector<double> errors;
  const Nanos longest = longest_of(samples);
  for (const StepSample& sample : samples) {
    const auto off = static_cast<double>(costs.time(sample.work) - sample.duration);
    errors.push_back(std::abs(off) / measure_of(sample, longest));
  }
  if (errors.empty()) return {};
  std::sort(errors.begin(), errors.end());
  double sum = 0;
  for (const double error : errors) sum += error;
  const size_t at = (errors.size() - 1) * 95 / 100;
  return {sum / static_cast<double>(errors.size()), errors[at], errors.back()};
}

}  // namespace hearth::flywheel
