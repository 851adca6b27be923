// The configuration of one training run: a TOML file whose every field has a default.
//
//   [model]      from = a checkpoint, or config = a config.json of Hugging Face's form, or fields
//   [data] [optimizer] [schedule] [batch] [parallel] [run]
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::train {

struct ModelConfig {
  std::string from = "";    // a Hugging Face directory to start from; empty: random weights
  std::string config = "";  // a config.json whose shape gets random weights; empty: fields here
  std::string family = "llama";           // of a model from random weights
  int64_t vocab_size = 0;                 // 0: the tokenizer's
  int64_t hidden_size = 256;              // width of the residual stream
  int64_t intermediate_size = 704;        // inner width of the MLP
  int64_t num_hidden_layers = 6;          // blocks
  int64_t num_attention_heads = 8;        // query heads
  int64_t num_key_value_heads = 4;        // key/value heads
  int64_t max_position_embeddings = 512;  // longest context
  double rope_theta = 10000.0;            // base of the rotary angles
  double rms_norm_eps = 1e-5;             // added to the mean square
  bool tie_word_embeddings = true;        // output head = embedding
  double initializer_range = 0.02;        // deviation of the first weights
  std::string recompute = "none";         // none, or block: less memory, a third more time
};

struct DataConfig {
  std::vector<std::string> train = {};       // token shards; made by `hearth data`
  std::vector<std::string> validation = {};  // token shards; empty: no validation
  std::string tokenizer = "";  // folder with tokenizer.json, copied into what is saved
  int64_t context = 0;         // tokens of one piece of a document; 0: max_position_embeddings
};

struct OptimizerConfig {
  std::string name = "adamw";   // adamw, or muon for hidden matrices and adamw for the rest
  double learning_rate = 1e-3;  // at the peak of the schedule
  double beta1 = 0.9;           // adamw: memory of the mean
  double beta2 = 0.95;          // adamw: memory of the square
  double epsilon = 1e-8;        // adamw: added to the root of the square
  double weight_decay = 0.1;    // of matrices and embeddings; norms have none
  double momentum = 0.95;       // muon
  double clip_norm = 1.0;       // longest gradient; 0: no clipping
  double spike_deviations = 6;  // leave out updates this far above the last ones; 0: never
  int64_t spike_window = 128;   // steps that make the mean and deviation
};

struct ScheduleConfig {
  std::string kind = "cosine";   // constant, linear, cosine, wsd
  int64_t steps = 1000;          // updates in all
  int64_t warmup_steps = 20;     // straight up from 0
  double final_fraction = 0.05;  // of the peak, at the last step
  double decay_fraction = 0.3;   // wsd: the last part of the steps
};

struct BatchConfig {
  int64_t tokens = 16384;       // predictions of one update
  int64_t micro_tokens = 8192;  // predictions computed at once; any value gives the same update
};

// Of runs with several ranks (hearth train --ranks N, or mpirun).
struct ParallelConfig {
  int64_t zero = 1;         // 1: each rank keeps its share of the optimizer; 2: of gradients too
  double bucket_mb = 8;     // gradients travel in parts of about this size
  int64_t timeout_s = 120;  // a rank that does not arrive for so long is named, and the run ends
};

struct RunConfig {
  std::string out = "";                          // folder of checkpoints, log and the final model
  std::string precision = "bf16";                // bf16 products with f32 sums and weights, or f32
  std::string save_dtype = "bf16";               // of the weights in the final model: bf16 or f32
  int64_t seed = 1;                              // of first weights and data order
  int64_t threads = 0;                           // 0: one for each core
  int64_t checkpoint_every = 200;                // steps; 0: only at the end
  int64_t checkpoints_kept = 2;                  // older ones are deleted
  int64_t validate_every = 200;                  // steps; 0: only at the end
  int64_t validation_tokens = 200000;            // at most, of each validation pass; 0: all
  int64_t sample_every = 0;                      // steps; 0: no samples
  std::vector<std::string> sample_prompts = {};  // texts to go on from; needs data.tokenizer
  int64_t sample_tokens = 64;                    // of each sample
  double sample_temperature = 0.8;               // 0: always the most likely token
};

struct TrainConfig {
  ModelConfig model = {};          // [model]
  DataConfig data = {};            // [data]
  OptimizerConfig optimizer = {};  // [optimizer]
  ScheduleConfig schedule = {};    // [schedule]
  BatchConfig batch = {};          // [batch]
  ParallelConfig parallel = {};    // [parallel]
  RunConfig run = {};              // [run]
};

// Parses TOML text. An unknown key, a wrong type or a value out of range throws Error naming the
// key, and for an unknown one the nearest known. Relative paths are taken from `folder`.
TrainConfig parse_config(std::string_view text, const std::string& where,
                         const std::string& folder);
TrainConfig load_config(const std::string& path);

// All fields as TOML, with what each is set to.
std::string to_toml(const TrainConfig& config);

}  // namespace hearth::train
