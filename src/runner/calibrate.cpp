#include "runner/calibrate.h"

#include <algorithm>
#include <numeric>

#include "runner/kv_storage.h"

namespace hearth::runner {
namespace {

// Sums of squares of every input that passes a projection; adds nothing to the outputs.
class Collector final : public nn::LowRank {
 public:
  explicit Collector(const models::Model& model) : sums_(model.projections.size()) {}

  bool joins(int32_t) const override { return true; }
  void add(ops::Context&, int32_t slot, TensorView x, TensorView) override {
    add_squares(x, sums_[static_cast<size_t>(slot)]);
  }
  void add_head(TensorView x) { add_squares(x, head_); }

  InputMeans means(int64_t tokens) const {
    InputMeans means{{}, mean(head_, tokens), tokens};
    for (const std::vector<double>& sum : sums_) means.projections.push_back(mean(sum, tokens));
    return means;
  }

 private:
  static void add_squares(TensorView x, std::vector<double>& sum) {
    sum.resize(static_cast<size_t>(x.cols()));
    for (int64_t row = 0; row < x.rows(); ++row) {
      const float* values = x.row<float>(row);
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += double{values[i]} * double{values[i]};
    }
  }
  static std::vector<float> mean(const std::vector<double>& sum, int64_t tokens) {
    std::vector<float> means;
    for (double each : sum) means.push_back(static_cast<float>(each / static_cast<double>(tokens)));
    return means;
  }

  std::vector<std::vector<double>> sums_;
  std::vector<double> head_;
};

}  // namespace

InputMeans measure_inputs(const models::Model& model, ops::Context ctx,
                          std::span<const std::vector<int32_t>> texts) {
  Collector collector(model);
  int64_t tokens = 0;
  size_t longest = 0;
  for (const auto& text : texts) longest = std::max(longest, text.size());
  const auto blocks = static_cast<int32_t>(longest / ops::kKvBlockTokens + 1);
  KvStorage storage(model.info, blocks, DType::kF32);
  std::vector<int32_t> table(static_cast<size_t>(blocks));
  std::iota(table.begin(), table.end(), 0);
  for (const std::vector<int32_t>& text : texts) {
    std::vector<int32_t> positions(text.size());
    std::iota(positions.begin(), positions.end(), 0);
    const ops::KvSequence sequence{0, static_cast<int32_t>(text.size()), 0, table.data()};
    ctx.arena.reset();
    nn::Pass pass{ctx, text, positions, {&sequence, 1}, storage.cache(), &collector};
    collector.add_head(model.forward(pass));
    tokens += static_cast<int64_t>(text.size());
  }
  return collector.means(tokens);
}

}  // namespace hearth::runner
