#include "apps/local_draft.h"

#include <algorithm>

#include "apps/local_model.h"
#include "apps/progress.h"
#include "base/error.h"
#include "engine/sequence.h"
#include "tokenizer/tokenizer.h"

namespace hearth::apps {
namespace {

constexpr const char* kFlag = "--draft-model";
// Tokens that the cache of the drafts holds, if that is enough for one text; memory is taken as
// they come.
constexpr int32_t kCacheTokens = 1 << 15;

LoadedModel load_draft(ModelSource& source, const ModelFlags& flags) {
  models::LoadOptions options = load_options(flags);
  options.max_model_len = 0;  // beyond what it was made for it does not guess
  ProgressBar progress("loading the draft model");
  return load_model(source, options, flags.data_dir,
                    flags.no_packed_cache ? PackedCache::kOff : PackedCache::kOn,
                    [&](int64_t done, int64_t total) { progress.show(done, total); });
}

// The first token that only one of them has, or that they write differently; -1: none.
int32_t first_difference(const tokenizer::Tokenizer& a, const tokenizer::Tokenizer& b) {
  const int32_t all = std::max(a.vocab_size(), b.vocab_size());
  const auto text = [](const tokenizer::Tokenizer& tokenizer, int32_t id) {
    return id < tokenizer.vocab_size() ? tokenizer.token_text(id) : std::string_view();
  };
  for (int32_t id = 0; id < all; ++id) {
    if (text(a, id) != text(b, id)) return id;
  }
  return -1;
}

}  // namespace

LocalDraft::LocalDraft(const ModelFlags& flags)
    : source_(find_model(flags.draft_model, flags.data_dir)), loaded_(load_draft(source_, flags)) {}

std::unique_ptr<runner::DraftModel> LocalDraft::drafter(const models::ModelInfo& target,
                                                        const std::string& name,
                                                        const tokenizer::Tokenizer& tokenizer,
                                                        int32_t seats,
                                                        const ops::Context& context) const {
  const auto own = tokenizer::Tokenizer::load(*source_.files);
  const int32_t different = first_difference(tokenizer, *own);
  if (different >= 0) {
    throw_error(ErrorCode::kInvalidArgument, kFlag,
                "'{}' does not write in the tokens of '{}' (the first that differs is {}); a draft "
                "model needs the same tokenizer: take a smaller model of the same family",
                source_.name, name, different);
  }
  const models::ModelInfo& info = loaded_.model->info;
  const int32_t tokens = std::max(std::min(info.max_model_len, target.max_model_len), kCacheTokens);
  const runner::DraftOptions options{.seats = seats,
                                     .num_blocks = engine::blocks_for(tokens) + seats,
                                     .vocabulary = static_cast<int32_t>(target.vocabulary)};
  return std::make_unique<runner::DraftModel>(*loaded_.model, options, context);
}

}  // namespace hearth::apps
