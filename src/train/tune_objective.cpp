#include "train/tune_objective.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/random.h"
#include "train/preference.h"

namespace hearth::train {

using Mode = LoraShared::Mode;

std::vector<int64_t> TuneSet::all() const {
  std::vector<int64_t> all(data.examples.size());
  std::iota(all.begin(), all.end(), 0);
  return all;
}

// One text of a batch: which example, and where its losses are.
struct TuneObjective::Text {
  int64_t example = 0;
  bool other = false;  // the reply that was not preferred
  size_t begin = 0;    // in the batch
  size_t count = 0;
  double loss = 0;  // nats, of the learned tokens
};

struct TuneObjective::Micro {
  Batch batch;
  std::vector<Text> texts;

  // Σ over tokens of the length of their text, over their number: what attention looks at.
  double context() const {
    double sum = 0;
    for (const Text& text : texts) {
      sum += static_cast<double>(text.count) * static_cast<double>(text.count);
    }
    return sum / static_cast<double>(std::max<int64_t>(1, batch.tokens()));
  }
};

// The likelihoods of one example's replies.
struct TuneObjective::Pair {
  ReplyLikelihood preferred, other;
};

TuneObjective::TuneObjective(const TuneConfig& config, ops::TrainContext ctx, Model& model,
                             LoraSet& adapter)
    : config_(config),
      ctx_(ctx),
      model_(model),
      lora_(adapter),
      method_(config.method.name == "dpo" ? TuneMethod::kPreference : TuneMethod::kSupervised) {}

// Texts packed into batches of at most batch.micro_tokens predictions (a longer text stands alone).
std::vector<TuneObjective::Micro> TuneObjective::micros(
    const TuneSet& set, const std::vector<int64_t>& examples) const {
  std::vector<Micro> list;
  const auto add = [&](int64_t example, const MarkedTokens& text, bool other) {
    const auto count = std::ssize(text.tokens) - 1;
    if (list.empty() || list.back().batch.tokens() + count > config_.batch.micro_tokens) {
      list.emplace_back();
    }
    Micro& micro = list.back();
    micro.texts.push_back({example, other, micro.batch.ids.size(), static_cast<size_t>(count), 0});
    micro.batch.append(text.tokens, text.learn);
  };
  for (int64_t example : examples) {
    const TuneExample& e = set.data.examples[static_cast<size_t>(example)];
    add(example, e.text, false);
    if (method_ == TuneMethod::kPreference) add(example, e.other, true);
  }
  return list;
}

int64_t TuneObjective::largest_batch(const TuneSet& set,
                                     const std::vector<int64_t>& examples) const {
  int64_t largest = 0;
  for (const Micro& part : micros(set, examples)) largest = std::max(largest, part.batch.tokens());
  return largest;
}

uint64_t TuneObjective::dropout_key(int64_t step, size_t part) const {
  const auto number = static_cast<uint64_t>(step) << 20 | part;
  return split_mix(split_mix(static_cast<uint64_t>(config_.run.seed)) ^ number);
}

// A pass without gradients: the loss of each text.
void TuneObjective::find_losses(Micro& micro) {
  std::vector<float> each(micro.batch.ids.size());
  model_.losses(ctx_, micro.batch, each);
  for (Text& text : micro.texts) {
    text.loss = 0;
    for (size_t i = 0; i < text.count; ++i) text.loss += each[text.begin + i];
  }
}

void TuneObjective::ask_base(TuneSet& set) {
  set.base.assign(set.data.examples.size(), {});
  lora_.set_mode(Mode::kOff);
  for (Micro& micro : micros(set, set.all())) {
    find_losses(micro);
    for (const Text& text : micro.texts) {
      BaseLikelihood& of = set.base[static_cast<size_t>(text.example)];
      (text.other ? of.other : of.text) = -text.loss;
    }
  }
}

// One for each example of the set; those that are in no batch stay empty.
std::vector<TuneObjective::Pair> TuneObjective::pairs_of(const std::vector<Micro>& parts,
                                                         const TuneSet& set) {
  std::vector<Pair> pairs(set.data.examples.size());
  for (const Micro& part : parts) {
    for (const Text& text : part.texts) {
      const auto at = static_cast<size_t>(text.example);
      (text.other ? pairs[at].other : pairs[at].preferred) = {
          -text.loss, text.other ? set.base[at].other : set.base[at].text};
    }
  }
  return pairs;
}

void TuneObjective::add_pair(const Pair& pair, double share, TuneLoss& sums) const {
  const PreferenceLoss loss = preference_loss(pair.preferred, pair.other, config_.method.beta);
  sums.loss += loss.loss * share;
  sums.margin += loss.margin * share;
  sums.accuracy += loss.margin > 0 ? share : 0;
}

// Weighs each text of the batches by the slope of its pair's loss.
void TuneObjective::weigh(std::vector<Micro>& parts, const std::vector<Pair>& pairs, double share,
                          TuneLoss& sums) const {
  for (Micro& part : parts) {
    part.batch.weights.assign(part.batch.ids.size(), 0.0f);
    for (const Text& text : part.texts) {
      const Pair& pair = pairs[static_cast<size_t>(text.example)];
      const double slope =
          preference_loss(pair.preferred, pair.other, config_.method.beta).slope * share;
      // The model's losses are -log p, hence the signs.
      std::fill_n(part.batch.weights.begin() + static_cast<ptrdiff_t>(text.begin), text.count,
                  static_cast<float>(text.other ? slope : -slope));
      if (!text.other) add_pair(pair, share, sums);
    }
  }
}

TuneLoss TuneObjective::learn(const TuneSet& set, const std::vector<int64_t>& examples,
                              int64_t step) {
  std::vector<Micro> parts = micros(set, examples);
  TuneLoss sums;
  for (const Micro& part : parts) {
    sums.learned += part.batch.target_count();
    sums.tokens += part.batch.tokens();
    sums.flops += static_cast<double>(part.batch.tokens()) * model_.flops_per_token(part.context());
  }
  const bool pairs = method_ == TuneMethod::kPreference;
  if (pairs) {
    for (size_t i = 0; i < parts.size(); ++i) {
      lora_.set_mode(Mode::kTrain, dropout_key(step, i));
      find_losses(parts[i]);
      sums.flops += static_cast<double>(parts[i].batch.tokens()) *
                    model_.forward_flops_per_token(parts[i].context());
    }
    weigh(parts, pairs_of(parts, set), 1.0 / static_cast<double>(examples.size()), sums);
  }
  // One divisor for the whole update, so that its split into batches cannot be felt.
  const double per_target = 1.0 / static_cast<double>(std::max<int64_t>(1, sums.learned));
  double total = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    lora_.set_mode(Mode::kTrain, dropout_key(step, i));
    total += model_.forward_backward(ctx_, parts[i].batch,
                                     pairs ? 1.0f : static_cast<float>(per_target));
  }
  if (!pairs) sums.loss = total * per_target;
  return sums;
}

TuneLoss TuneObjective::judge(const TuneSet& set) {
  lora_.set_mode(Mode::kExact);
  std::vector<Micro> parts = micros(set, set.all());
  TuneLoss sums;
  double total = 0;
  for (Micro& part : parts) {
    find_losses(part);
    sums.learned += part.batch.target_count();
    sums.tokens += part.batch.tokens();
    for (const Text& text : part.texts) total += text.loss;
  }
  if (method_ == TuneMethod::kSupervised) {
    sums.loss = total / static_cast<double>(std::max<int64_t>(1, sums.learned));
    return sums;
  }
  const double share = 1.0 / static_cast<double>(std::max<int64_t>(1, set.size()));
  for (const Pair& pair : pairs_of(parts, set)) add_pair(pair, share, sums);
  return sums;
}

}  // namespace hearth::train
