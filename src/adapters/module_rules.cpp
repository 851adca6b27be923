#include "adapters/module_rules.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <algorithm>
#include <charconv>
#include <cmath>
#include <pcre2.h>

#include "base/check.h"
#include "base/error.h"

namespace hearth::adapters {
namespace {

// Backtracking steps of one comparison. A pattern that needs more for a module's name was not made
// for module names.
constexpr uint32_t kMatchLimit = 5000;
constexpr uint32_t kHeapLimitKib = 1024;

bool is_plain(std::string_view pattern) {
  return pattern.find_first_of("\\^$*+?()[]{}|") == std::string_view::npos;
}

// "q_proj" of "model.layers.0.self_attn.q_proj".
bool is_tail(std::string_view module, std::string_view name) {
  return module.ends_with(name) &&
         (module.size() == name.size() || module[module.size() - name.size() - 1] == '.');
}

struct CodeDeleter {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};
template <typename T>
using Owned = std::unique_ptr<T, CodeDeleter>;

}  // namespace

struct ModulePattern::Code {
  Owned<pcre2_code> code;
  Owned<pcre2_match_data> data;
  Owned<pcre2_match_context> context;
};

ModulePattern::ModulePattern(std::string_view pattern, Reach reach, const std::string& where)
    : text_(pattern), where_(where), reach_(reach) {
  if (is_plain(pattern)) return;
  // PEFT's re.fullmatch for a target, and the optional dotted head of its patterns.
  const std::string whole = reach == Reach::kWhole ? text_ : "(?:.*\\.)?(?:" + text_ + ")";
  int error = 0;
  PCRE2_SIZE at = 0;
  Owned<pcre2_code> code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(whole.data()), whole.size(),
                                       PCRE2_ANCHORED | PCRE2_ENDANCHORED, &error, &at, nullptr));
  if (code == nullptr) {
    PCRE2_UCHAR message[128] = {};
    pcre2_get_error_message(error, message, sizeof message);
    throw_error(ErrorCode::kInvalidArgument, where, "'{}' is not a regular expression: {}",
                text_.substr(0, 80), reinterpret_cast<const char*>(message));
  }
  Owned<pcre2_match_data> data(pcre2_match_data_create(1, nullptr));
  Owned<pcre2_match_context> context(pcre2_match_context_create(nullptr));
  CHECK(data != nullptr && context != nullptr, "out of memory");
  pcre2_set_match_limit(context.get(), kMatchLimit);
  pcre2_set_heap_limit(context.get(), kHeapLimitKib);
  code_ = std::make_unique<Code>(Code{std::move(code), std::move(data), std::move(context)});
}

ModulePattern::~ModulePattern() = default;
ModulePattern::ModulePattern(ModulePattern&&) noexcept = default;
ModulePattern& ModulePattern::operator=(ModulePattern&&) noexcept = default;

bool ModulePattern::fits(std::string_view module) const {
  if (code_ == nullptr) {
    return reach_ == Reach::kTail ? is_tail(module, text_) : module == text_;
  }
  const int found = pcre2_match(code_->code.get(), reinterpret_cast<PCRE2_SPTR>(module.data()),
                                module.size(), 0, 0, code_->data.get(), code_->context.get());
  if (found >= 0) return true;
  if (found == PCRE2_ERROR_NOMATCH) return false;
  throw_error(ErrorCode::kTooLarge, where_,
              "the pattern '{}' backtracks too much on '{}'; write it simpler, or list the names",
              text_.substr(0, 80), module.substr(0, 80));
}

namespace {

using Reach = ModulePattern::Reach;

void add(std::vector<ModulePattern>& list, const TargetModules& modules, const std::string& where) {
  if (modules.kind == TargetModules::Kind::kRegex) {
    list.emplace_back(modules.regex, Reach::kWhole, where);
  }
}

bool names_fit(const TargetModules& modules, const std::vector<ModulePattern>& regex,
               std::string_view module) {
  // Names in a list are compared as they stand, whatever characters they have.
  return std::any_of(modules.names.begin(), modules.names.end(),
                     [&](const std::string& name) { return is_tail(module, name); }) ||
         std::any_of(regex.begin(), regex.end(),
                     [&](const ModulePattern& pattern) { return pattern.fits(module); });
}

// The value of the first pattern that fits, or `otherwise`.
template <typename T>
T value_of(const PatternList<T>& list, const std::vector<ModulePattern>& patterns,
           std::string_view module, T otherwise) {
  for (size_t i = 0; i < list.size(); ++i) {
    if (patterns[i].fits(module)) return list[i].second;
  }
  return otherwise;
}

bool is_output_head(std::string_view module) {
  return is_tail(module, "lm_head") || is_tail(module, "embed_out");
}

// The number that stands alone between two dots of a name, the last one, and what is before it.
struct LayerOf {
  int64_t index = -1;
  std::string_view list;  // the part before: "layers"
};

LayerOf layer_of(std::string_view module) {
  LayerOf found;
  size_t begin = 0;
  std::string_view before;
  while (begin < module.size()) {
    const size_t end = std::min(module.find('.', begin), module.size());
    const std::string_view part = module.substr(begin, end - begin);
    int64_t number = 0;
    const auto [rest, error] = std::from_chars(part.data(), part.data() + part.size(), number);
    const bool whole = error == std::errc() && rest == part.data() + part.size();
    if (whole && !before.empty() && end < module.size()) found = {number, before};
    before = part;
    begin = end + 1;
  }
  return found;
}

}  // namespace

ModuleRules::ModuleRules(const AdapterConfig& config, const std::string& where,
                         const AdapterLimits& limits)
    : config_(config) {
  add(targets_, config.target_modules, where + ".target_modules");
  add(excluded_, config.exclude_modules, where + ".exclude_modules");
  for (const auto& [pattern, rank] : config.rank_pattern) {
    ranks_.emplace_back(pattern, Reach::kTail, where + ".rank_pattern");
  }
  for (const auto& [pattern, alpha] : config.alpha_pattern) {
    alphas_.emplace_back(pattern, Reach::kTail, where + ".alpha_pattern");
  }
  for (const std::string& pattern : config.layers_pattern) {
    layers_.emplace_back(pattern, Reach::kWhole, where + ".layers_pattern");
  }
  check_regexes(where, limits);
}

void ModuleRules::check_regexes(const std::string& where, const AdapterLimits& limits) const {
  size_t count = 0;
  for (const auto* list : {&targets_, &excluded_, &ranks_, &alphas_, &layers_}) {
    count += static_cast<size_t>(
        std::count_if(list->begin(), list->end(), [](const auto& p) { return p.is_regex(); }));
  }
  if (count > limits.regexes_max) {
    throw_error(ErrorCode::kTooLarge, where, "{} regular expressions are over the limit of {}",
                count, limits.regexes_max);
  }
}

bool ModuleRules::in_chosen_layer(std::string_view module) const {
  if (config_.layers_to_transform.empty()) return true;
  const LayerOf layer = layer_of(module);
  const auto& chosen = config_.layers_to_transform;
  if (layer.index < 0 || std::find(chosen.begin(), chosen.end(), layer.index) == chosen.end()) {
    return false;
  }
  return layers_.empty() ||
         std::any_of(layers_.begin(), layers_.end(),
                     [&](const ModulePattern& pattern) { return pattern.fits(layer.list); });
}

bool ModuleRules::targets(std::string_view module) const {
  if (names_fit(config_.exclude_modules, excluded_, module)) return false;
  if (!in_chosen_layer(module)) return false;
  if (config_.target_modules.kind == TargetModules::Kind::kAllLinear) {
    return !is_output_head(module);
  }
  return names_fit(config_.target_modules, targets_, module);
}

int64_t ModuleRules::rank(std::string_view module) const {
  return value_of(config_.rank_pattern, ranks_, module, config_.r);
}

float ModuleRules::scale(std::string_view module) const {
  const double alpha = value_of(config_.alpha_pattern, alphas_, module, config_.lora_alpha);
  const auto r = static_cast<double>(rank(module));
  return static_cast<float>(alpha / (config_.use_rslora ? std::sqrt(r) : r));
}

}  // namespace hearth::adapters
