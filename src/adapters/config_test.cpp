#include "adapters/config.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "io/json.h"

namespace hearth::adapters {
namespace {

AdapterConfig parse(const std::string& text) { return parse_adapter_config(text, "a.json"); }

std::string error_of(const std::string& fields) {
  try {
    parse(R"({"peft_type":"LORA",)" + fields + "}");
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(AdapterConfig, ReadsPeftsFields) {
  const AdapterConfig c = parse(R"({
      "peft_type": "LORA", "base_model_name_or_path": "some/base", "r": 16, "lora_alpha": 32,
      "lora_dropout": 0.05, "use_rslora": true, "use_dora": true,
      "target_modules": ["q_proj", "v_proj"], "rank_pattern": {"layers.0.q_proj": 4, "v_proj": 2},
      "alpha_pattern": {"v_proj": 0.5}, "layers_to_transform": [1, 2], "layers_pattern": "layers",
      "bias": "none", "modules_to_save": null, "loftq_config": {}, "init_lora_weights": "gaussian",
      "a_field_of_next_year": 3})");
  EXPECT_EQ(c.base_model, "some/base");
  EXPECT_EQ(c.r, 16);
  EXPECT_EQ(c.lora_alpha, 32);
  EXPECT_EQ(c.lora_dropout, 0.05);
  EXPECT_TRUE(c.use_rslora && c.use_dora && !c.fan_in_fan_out);
  EXPECT_EQ(c.target_modules.kind, TargetModules::Kind::kNames);
  EXPECT_EQ(c.target_modules.names, (std::vector<std::string>{"q_proj", "v_proj"}));
  EXPECT_EQ(c.rank_pattern, (PatternList<int64_t>{{"layers.0.q_proj", 4}, {"v_proj", 2}}));
  EXPECT_EQ(c.alpha_pattern, (PatternList<double>{{"v_proj", 0.5}}));
  EXPECT_EQ(c.layers_to_transform, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(c.layers_pattern, std::vector<std::string>{"layers"});
}

TEST(AdapterConfig, AStringOfTargetsIsARegexOrAllLinear) {
  EXPECT_EQ(parse(R"({"peft_type":"LORA","target_modules":".*_proj"})").target_modules.regex,
            ".*_proj");
  EXPECT_EQ(parse(R"({"peft_type":"LORA","target_modules":"all-linear"})").target_modules.kind,
            TargetModules::Kind::kAllLinear);
}

TEST(AdapterConfig, WhatIsWrittenIsRead) {
  AdapterConfig c;
  c.base_model = "base";
  c.r = 4;
  c.lora_alpha = 6.5;
  c.use_rslora = true;
  c.target_modules.names = {"q_proj"};
  c.exclude_modules = {TargetModules::Kind::kRegex, {}, ".*\\.0\\..*"};
  c.rank_pattern = {{"b", 1}, {"a", 2}};
  c.alpha_pattern = {{"a", 3}};
  c.layers_to_transform = {3};
  const io::Json json = to_json(c);
  EXPECT_EQ(to_json(parse(io::dump_json(json))), json);
  EXPECT_EQ(json["alpha_pattern"]["a"].dump(), "3") << "whole alphas stay whole";
}

TEST(AdapterConfig, RefusesByName) {
  const std::pair<const char*, const char*> cases[] = {
      {R"("bias":"all")", "field 'bias'"},
      {R"("modules_to_save":["lm_head"])", "field 'modules_to_save'"},
      {R"("lora_bias":true)", "field 'lora_bias'"},
      {R"("target_parameters":["w"])", "field 'target_parameters'"},
      {R"("init_lora_weights":"pissa_niter_4")", "'pissa_niter_4' changes the weights"},
      {R"("init_lora_weights":3)", "true, false or a name, found 3"},
      {R"("r":0)", "field 'r': expected a rank above 0, found 0"},
      {R"("r":-1)", "found -1"},
      {R"("r":8.5)", "found 8.5"},
      {R"("r":1025)", "rank 1025 is over the limit of 1024"},
      {R"("lora_alpha":"8")", "field 'lora_alpha': expected a number"},
      {R"("lora_alpha":1e39)", "expected a finite number"},
      {R"("lora_dropout":1)", "a share in [0, 1)"},
      {R"("target_modules":[3])", "field 'target_modules': expected a name, found 3"},
      {R"("target_modules":{})", "a name or a list of names"},
      {R"("target_modules":"")", "expected a name"},
      {R"("rank_pattern":{"q":0})", "field 'rank_pattern'"},
      {R"("rank_pattern":["q"])", "an object of patterns"},
      {R"("layers_to_transform":[-1])", "layer numbers from 0 on"},
      {R"("use_dora":1)", "'use_dora' has the wrong type"},
  };
  for (const auto& [fields, message] : cases) {
    EXPECT_NE(error_of(fields).find(message), std::string::npos)
        << fields << " -> " << error_of(fields);
  }
  EXPECT_THROW(parse("[]"), Error);
  EXPECT_THROW(parse(R"({"r":8})"), Error) << "no peft_type";
  EXPECT_THROW(parse(R"({"peft_type":"LOHA"})"), Error);
}

}  // namespace
}  // namespace hearth::adapters
