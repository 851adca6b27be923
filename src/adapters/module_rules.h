// What an AdapterConfig says of one module: whether it is joined, with which rank and scale. The
// rules are PEFT's.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/config.h"

namespace hearth::adapters {

// A name that fits whole or as the last dotted part, or a regular expression where it has
// characters that are special in one. Expressions run on PCRE2 with a bound on backtracking.
class ModulePattern {
 public:
  enum class Reach : uint8_t {
    kWhole,  // the whole name
    kTail,   // the whole name, or what follows one of its dots
  };
  // Throws Error{kInvalidArgument} naming `where` and the position of a fault.
  ModulePattern(std::string_view pattern, Reach reach, const std::string& where);
  ~ModulePattern();
  ModulePattern(ModulePattern&&) noexcept;
  ModulePattern& operator=(ModulePattern&&) noexcept;

  // Throws Error{kTooLarge} where the expression backtracks too much.
  bool fits(std::string_view module) const;
  bool is_regex() const { return code_ != nullptr; }

 private:
  struct Code;
  std::string text_;
  std::string where_;
  Reach reach_;
  std::unique_ptr<Code> code_;  // null: a plain name
};

class ModuleRules {
 public:
  // `where` names the file in errors.
  ModuleRules(const AdapterConfig& config, const std::string& where,
              const AdapterLimits& limits = {});

  // Whether target_modules, exclude_modules and layers_to_transform choose a linear layer.
  bool targets(std::string_view module) const;
  int64_t rank(std::string_view module) const;
  // The factor on B·A·x.
  float scale(std::string_view module) const;

 private:
  void check_regexes(const std::string& where, const AdapterLimits& limits) const;
  bool in_chosen_layer(std::string_view module) const;

  AdapterConfig config_;
  std::vector<ModulePattern> targets_, excluded_, ranks_, alphas_, layers_;
};

}  // namespace hearth::adapters
