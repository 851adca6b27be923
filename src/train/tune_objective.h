// What a tuning job asks of its model: the loss of examples and its gradients, by method.
//
// Examples are packed into batches (a token sees its own text only). Whatever the split into
// batches, a loss and a gradient are those of all examples at once.
#pragma once

#include <cstdint>
#include <vector>

#include "train/lora.h"
#include "train/model.h"
#include "train/tune_config.h"
#include "train/tune_data.h"

namespace hearth::train {

// log p of an example's replies under the base.
struct BaseLikelihood {
  double text = 0, other = 0;
};

struct TuneSet {
  TuneData data;
  std::vector<BaseLikelihood> base;  // of kPreference, one for each example

  int64_t size() const { return std::ssize(data.examples); }
  std::vector<int64_t> all() const;
};

// Of some examples.
struct TuneLoss {
  double loss = 0;      // nats a learned token, or -log σ(margin) a pair
  double accuracy = 0;  // share of pairs whose preferred reply gained more
  double margin = 0;    // mean
  int64_t learned = 0;  // tokens
  int64_t tokens = 0;   // predictions computed
  double flops = 0;     // of the matrix products
};

class TuneObjective {
 public:
  // `model` and `adapter`, which belong together, outlive it.
  TuneObjective(const TuneConfig& config, ops::TrainContext ctx, Model& model, LoraSet& adapter);

  TuneMethod method() const { return method_; }
  // Fills set.base: the model with its adapter switched off is the base.
  void ask_base(TuneSet& set);
  // Adds the gradients of the examples' loss to the parameters'. `step` chooses what dropout
  // leaves out.
  TuneLoss learn(const TuneSet& set, const std::vector<int64_t>& examples, int64_t step);
  // The loss of a whole set, without gradients and without dropout.
  TuneLoss judge(const TuneSet& set);
  // Tokens of the largest batch that these examples make.
  int64_t largest_batch(const TuneSet& set, const std::vector<int64_t>& examples) const;

 private:
  struct Text;
  struct Micro;
  struct Pair;
  std::vector<Micro> micros(const TuneSet& set, const std::vector<int64_t>& examples) const;
  uint64_t dropout_key(int64_t step, size_t part) const;
  void find_losses(Micro& micro);
  static std::vector<Pair> pairs_of(const std::vector<Micro>& parts, const TuneSet& set);
  void add_pair(const Pair& pair, double share, TuneLoss& sums) const;
  void weigh(std::vector<Micro>& parts, const std::vector<Pair>& pairs, double share,
             TuneLoss& sums) const;

  const TuneConfig& config_;
  ops::TrainContext ctx_;
  Model& model_;
  LoraSet& lora_;
  TuneMethod method_;
};

}  // namespace hearth::train
