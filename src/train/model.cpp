#include "train/model.h"

#include "io/json.h"
#include "ops/cross_entropy.h"
#include "train/decoder.h"
#include "train/families.h"

namespace hearth::train {

int64_t Batch::target_count() const {
  int64_t count = 0;
  for (int32_t target : targets) count += target != ops::kIgnoreTarget ? 1 : 0;
  return count;
}

void Batch::append(std::span<const int32_t> tokens, std::span<const uint8_t> learn) {
  CHECK(tokens.size() >= 2, "a document of {} tokens predicts nothing", tokens.size());
  CHECK(learn.empty() || learn.size() == tokens.size(), "{} marks for {} tokens", learn.size(),
        tokens.size());
  segments.push_back({static_cast<int32_t>(ids.size()), static_cast<int32_t>(tokens.size() - 1)});
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    ids.push_back(tokens[i]);
    positions.push_back(static_cast<int32_t>(i));
    const bool counts = learn.empty() || learn[i + 1] != 0;
    targets.push_back(counts ? tokens[i + 1] : ops::kIgnoreTarget);
  }
}

void Batch::append_read_only(std::span<const int32_t> tokens) {
  segments.push_back({static_cast<int32_t>(ids.size()), static_cast<int32_t>(tokens.size())});
  for (size_t i = 0; i < tokens.size(); ++i) {
    ids.push_back(tokens[i]);
    positions.push_back(static_cast<int32_t>(i));
    targets.push_back(ops::kIgnoreTarget);
  }
}

void Batch::clear() {
  ids.clear();
  targets.clear();
  positions.clear();
  segments.clear();
  weights.clear();
}

std::unique_ptr<Model> make_model(const io::Json& config, const ModelOptions& options,
                                  const std::string& where) {
  io::Json completed = config;
  DecoderShape shape = describe(completed, where);
  return std::make_unique<Decoder>(std::move(shape), completed, options);
}

}  // namespace hearth::train
