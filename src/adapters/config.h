// adapter_config.json as PEFT writes it: which projections a LoRA adapter joins, with which rank
// and scale. What changes the meaning of the weights and is not supported is refused by name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/json_fwd.h"

namespace hearth::adapters {

// Bounds on what a tenant may send.
struct AdapterLimits {
  size_t config_bytes_max = size_t{1} << 20;  // of adapter_config.json
  size_t bytes_max = size_t{1} << 30;         // of adapter_model.safetensors
  int64_t rank_max = 1024;                    // r, and the values of rank_pattern
  int64_t modules_max = 16384;                // projections that one adapter joins
  size_t patterns_max = 4096;                 // names and regular expressions in one field
  size_t regexes_max = 64;                    // of all fields, those that are more than a name
  size_t pattern_bytes_max = 4096;            // of one of them
};

// target_modules: names (whole, or the last part), one regular expression for the whole name, or
// every linear layer but the output head ("all-linear").
struct TargetModules {
  enum class Kind : uint8_t { kNames, kRegex, kAllLinear };
  Kind kind = Kind::kNames;
  std::vector<std::string> names;  // of kNames
  std::string regex;               // of kRegex
};

// Values of single modules by name or pattern. The first that fits counts, so order matters.
template <typename T>
using PatternList = std::vector<std::pair<std::string, T>>;

struct AdapterConfig {
  std::string base_model = "";  // base_model_name_or_path
  int64_t r = 8;                // rank: columns of B, rows of A
  double lora_alpha = 8;        // over r it is the factor on B·A
  double lora_dropout = 0;      // share of the inputs of A left out in training
  bool use_rslora = false;      // the factor is alpha / √r, not alpha / r
  bool use_dora = false;        // a magnitude for each output (Liu et al. 2024)
  bool fan_in_fan_out =
      false;  // the base stores [in, out] (GPT-2); A and B are the same either way
  TargetModules target_modules = {};              // the layers that are joined
  TargetModules exclude_modules = {};             // of those, the ones left out: names or a regex
  PatternList<int64_t> rank_pattern = {};         // r of some modules
  PatternList<double> alpha_pattern = {};         // lora_alpha of some modules
  std::vector<int64_t> layers_to_transform = {};  // empty: all
  std::vector<std::string> layers_pattern = {};   // names of the lists of layers; empty: any
};

// Throws Error naming `where` and the field: kInvalidArgument for a wrong one, kUnsupported for one
// that is understood and not built, kTooLarge over a limit.
AdapterConfig parse_adapter_config(std::string_view text, const std::string& where,
                                   const AdapterLimits& limits = {});

// With PEFT's fields, so that PEFT loads it.
io::Json to_json(const AdapterConfig& config);

}  // namespace hearth::adapters
