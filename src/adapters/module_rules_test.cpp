#include "adapters/module_rules.h"

#include <cmath>
#include <gtest/gtest.h>

#include "base/error.h"

namespace hearth::adapters {
namespace {

constexpr const char* kQueryThree = "model.layers.3.self_attn.q_proj";
constexpr const char* kDown = "model.layers.12.mlp.down_proj";

AdapterConfig names(std::vector<std::string> list) {
  AdapterConfig config;
  config.target_modules.names = std::move(list);
  return config;
}

AdapterConfig regex(const std::string& text) {
  AdapterConfig config;
  config.target_modules = {TargetModules::Kind::kRegex, {}, text};
  return config;
}

bool targets(const AdapterConfig& config, const char* module) {
  return ModuleRules(config, "a.json").targets(module);
}

TEST(ModuleRules, ANameIsWholeOrTheLastPart) {
  EXPECT_TRUE(targets(names({"q_proj"}), kQueryThree));
  EXPECT_TRUE(targets(names({"x", kQueryThree}), kQueryThree));
  EXPECT_TRUE(targets(names({"self_attn.q_proj"}), kQueryThree));
  EXPECT_FALSE(targets(names({"_proj"}), kQueryThree));
  EXPECT_FALSE(targets(names({"self_attn"}), kQueryThree));
  EXPECT_FALSE(targets(names({}), kQueryThree));
}

TEST(ModuleRules, ARegexFitsTheWholeName) {
  EXPECT_TRUE(targets(regex(R"(.*\.(q|v)_proj)"), kQueryThree));
  EXPECT_FALSE(targets(regex("q_proj"), kQueryThree));
  EXPECT_TRUE(targets(regex(R"(model\.layers\.(?!3\.).*)"), kDown));
  EXPECT_FALSE(targets(regex(R"(model\.layers\.(?!3\.).*)"), kQueryThree));
}

TEST(ModuleRules, AllLinearLeavesTheHeadOut) {
  AdapterConfig config;
  config.target_modules.kind = TargetModules::Kind::kAllLinear;
  EXPECT_TRUE(targets(config, kDown));
  EXPECT_FALSE(targets(config, "lm_head"));
}

TEST(ModuleRules, LayersAndExclusionsNarrowTheChoice) {
  AdapterConfig config = names({"q_proj", "down_proj"});
  config.layers_to_transform = {3};
  EXPECT_TRUE(targets(config, kQueryThree));
  EXPECT_FALSE(targets(config, kDown));
  config.layers_pattern = {"h"};
  EXPECT_FALSE(targets(config, kQueryThree));
  config.layers_pattern = {"layers"};
  EXPECT_TRUE(targets(config, kQueryThree));
  config.exclude_modules = {TargetModules::Kind::kRegex, {}, R"(.*\.3\..*)"};
  EXPECT_FALSE(targets(config, kQueryThree));
}

TEST(ModuleRules, TheFirstPatternThatFitsGivesTheRank) {
  AdapterConfig config;
  config.r = 8;
  config.lora_alpha = 16;
  config.rank_pattern = {{R"(layers\.3\..*)", 2}, {"q_proj", 4}};
  config.alpha_pattern = {{"down_proj", 4}};
  const ModuleRules rules(config, "a.json");
  EXPECT_EQ(rules.rank(kQueryThree), 2);
  EXPECT_EQ(rules.rank("model.layers.4.self_attn.q_proj"), 4);
  EXPECT_EQ(rules.rank(kDown), 8);
  EXPECT_EQ(rules.scale(kQueryThree), 8.0f);
  EXPECT_EQ(rules.scale(kDown), 0.5f);
  config.use_rslora = true;
  EXPECT_FLOAT_EQ(ModuleRules(config, "a.json").scale(kDown), 4 / std::sqrt(8.0f));
}

TEST(ModuleRules, HostilePatternsEnd) {
  EXPECT_THROW(targets(regex("(a+)+$"), "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"),
               Error);
  EXPECT_THROW(targets(regex("(q"), kQueryThree), Error);
  EXPECT_THROW(targets(regex("q)|(v"), "v"), Error);
  AdapterConfig many;
  for (int i = 0; i < 65; ++i) many.rank_pattern.emplace_back("q.*" + std::to_string(i), 1);
  EXPECT_THROW(ModuleRules(many, "a.json"), Error);
}

}  // namespace
}  // namespace hearth::adapters
