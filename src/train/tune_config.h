// The configuration of one tuning job: a TOML file whose every field has a default.
//
//   [model] [adapter] [data] [method] [optimizer] [schedule] [batch] [run]
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/config.h"

namespace hearth::train {

struct TuneModelConfig {
  std::string from = "";           // the base: a Hugging Face directory; it is only read
  std::string name = "";           // what the adapter calls its base; empty: `from`
  std::string base = "bf16";       // how its weights are held: bf16, f32, q8 or q4
  std::string recompute = "none";  // none, or block: less memory, a third more time
};

struct TuneAdapterConfig {
  std::string from = "";    // an adapter to go on from; empty: a fresh one
  int64_t r = 8;            // rank
  double lora_alpha = 16;   // the factor on B·A is lora_alpha / r
  double lora_dropout = 0;  // share of the inputs left out
  bool use_rslora = false;  // the factor is lora_alpha / √r
  bool use_dora = false;    // a trained length for each output's weights
  std::vector<std::string> target_modules = {"all-linear"};  // names, or all-linear
  std::string target_regex = "";                  // in place of names: fits a whole module name
  std::vector<std::string> exclude_modules = {};  // names left out
  std::vector<std::string> rank_pattern = {};     // "pattern=rank"; the first that fits counts
  std::vector<std::string> alpha_pattern = {};    // "pattern=lora_alpha"
  std::vector<int64_t> layers_to_transform = {};  // numbers of layers; empty: all
};

struct TuneDataConfig {
  std::vector<std::string> train = {};       // JSONL files (train/tune_data.h)
  std::vector<std::string> validation = {};  // JSONL files
  double validation_share = 0;               // of train, held out where `validation` is empty
  int64_t context = 0;                       // tokens of one text; 0: the model's
};

struct TuneMethodConfig {
  std::string name = "sft";  // sft: replies are learned; dpo: preferences between two
  double beta = 0.1;         // dpo: how fast it moves away from the base
};

struct TuneOptimizerConfig {
  double learning_rate = 5e-4;  // at the peak of the schedule
  double beta1 = 0.9;           // AdamW: memory of the mean
  double beta2 = 0.999;         // AdamW: memory of the square
  double epsilon = 1e-8;        // AdamW: added to the root of the square
  double weight_decay = 0;      // of A and B
  double clip_norm = 1.0;       // longest gradient; 0: no clipping
};

struct TuneScheduleConfig {
  std::string kind = "cosine";   // constant, linear, cosine, wsd
  double epochs = 3;             // passes over the data
  int64_t steps = 0;             // updates, in place of epochs; 0: by epochs
  double warmup_share = 0.05;    // of the updates, straight up from 0
  double final_fraction = 0.05;  // of the peak, at the last step
};

struct TuneBatchConfig {
  int64_t examples = 16;        // of one update
  int64_t micro_tokens = 4096;  // predictions computed at once; any value gives the same update
};

struct TuneRunConfig {
  std::string out = "";            // gets the adapter, a log and checkpoints
  std::string save_dtype = "f32";  // of the adapter: f32 or bf16
  int64_t seed = 1;                // of first values, order and dropout
  int64_t threads = 0;             // 0: one for each core
  int64_t checkpoint_every = 200;  // steps; 0: only at the end
  int64_t checkpoints_kept = 1;    // older ones are deleted
  int64_t validate_every = 100;    // steps; 0: only at the end
};

struct TuneConfig {
  TuneModelConfig model = {};          // [model]
  TuneAdapterConfig adapter = {};      // [adapter]
  TuneDataConfig data = {};            // [data]
  TuneMethodConfig method = {};        // [method]
  TuneOptimizerConfig optimizer = {};  // [optimizer]
  TuneScheduleConfig schedule = {};    // [schedule]
  TuneBatchConfig batch = {};          // [batch]
  TuneRunConfig run = {};              // [run]
};

// Parses TOML text; relative paths are taken from `folder`. Throws Error naming the key.
TuneConfig parse_tune_config(std::string_view text, const std::string& where,
                             const std::string& folder);
TuneConfig load_tune_config(const std::string& path);
// What parse_tune_config checks of values; for configurations made of flags.
void check_tune_config(const TuneConfig& config, const std::string& where);
std::string to_toml(const TuneConfig& config);

// In PEFT's terms.
adapters::AdapterConfig adapter_config(const TuneConfig& config, const std::string& where);

}  // namespace hearth::train
