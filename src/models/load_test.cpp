// What cannot be loaded is refused with a text that names it.
#include <cstring>
#include <gtest/gtest.h>

#include "base/error.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "models/test_checkpoint.h"
#include "models/weights.h"

namespace hearth::models {
namespace {

// A good checkpoint whose config and tensors a test may spoil.
class Load : public testing::Test {
 protected:
  Load() {
    io::MemoryFiles files = checkpoint_.files();
    config_ = io::parse_json(files.text("config.json"), "config.json");
    weights_ = std::string(files.text("model.safetensors"));
    for (const auto& [name, tensor] : io::parse_safetensors(io::as_bytes(weights_), "")) {
      tensors_.push_back({name, tensor.dtype, tensor.shape, tensor.data});
    }
  }

  std::unique_ptr<Model> load_with(const LoadOptions& options = {},
                                   const std::string& generation = "{}") {
    config_text_ = io::dump_json(config_);
    generation_ = generation;
    built_ = io::build_safetensors(tensors_);
    files_ = std::make_unique<io::MemoryFiles>(
        "m",
        std::vector<io::MemoryFiles::File>{{"config.json", io::as_bytes(config_text_)},
                                           {"generation_config.json", io::as_bytes(generation_)},
                                           {"model.safetensors", io::as_bytes(built_)}});
    return load(*files_, options);
  }
  std::string error(const LoadOptions& options = {}) {
    try {
      load_with(options);
    } catch (const Error& caught) {
      return caught.what();
    }
    return "no error";
  }
  io::TensorToStore& tensor(const std::string& name) {
    for (io::TensorToStore& t : tensors_) {
      if (t.name == name) return t;
    }
    throw std::out_of_range(name);
  }

  TestCheckpoint checkpoint_ = test_checkpoint(HEARTH_SOURCE_DIR, "llama-gqa");
  io::Json config_;
  std::string weights_;
  std::vector<io::TensorToStore> tensors_;
  std::string config_text_;
  std::string generation_;
  std::string built_;
  std::unique_ptr<io::MemoryFiles> files_;
};

TEST_F(Load, TellsWhatTheModelIs) {
  config_["bos_token_id"] = 1;
  config_["eos_token_id"] = 2;
  const std::string generation = R"({"eos_token_id": [3, 4, 100000], "temperature": 0.6,
                                     "top_p": 0.9, "top_k": 20})";
  const auto model = load_with({}, generation);
  EXPECT_EQ(model->info.architecture, "LlamaForCausalLM");
  EXPECT_EQ(model->info.layers, 2);
  EXPECT_EQ(model->info.head_dim, 8);
  EXPECT_EQ(model->info.max_model_len, 64);
  EXPECT_EQ(model->info.bos, 1);
  EXPECT_EQ(model->info.eos, (std::vector<int32_t>{3, 4}));
  EXPECT_FLOAT_EQ(*model->info.defaults.temperature, 0.6f);
  EXPECT_EQ(model->info.defaults.top_k, 20);
  EXPECT_FALSE(model->info.defaults.min_p.has_value());
  EXPECT_EQ(model->parameters.size(), tensors_.size());
  EXPECT_EQ(model->projections.at(0).name, "model.layers.0.self_attn.q_proj");
}

TEST_F(Load, UnknownFamily) {
  config_["model_type"] = "mixtral";
  config_["architectures"] = {"MixtralForCausalLM"};
  EXPECT_EQ(error(),
            "m/config.json: unknown model_type 'mixtral' (architectures [MixtralForCausalLM]); "
            "supported are llama, mistral, qwen2, qwen3, phi, phi3, gemma2, gemma3_text, gemma3, "
            "gpt2, gpt_neox");
}

TEST_F(Load, AnArchitectureIsEnoughWhereTheTypeIsUnknown) {
  config_["model_type"] = "my-own-llama";
  EXPECT_EQ(error(), "no error");
}

TEST_F(Load, MissingTensor) {
  tensor("model.layers.1.mlp.up_proj.weight").name = "elsewhere";
  EXPECT_EQ(error(),
            "m/model.safetensors: tensor 'model.layers.1.mlp.up_proj.weight' [48, 32] is missing");
}

TEST_F(Load, MissingEmbedding) {
  tensor("model.embed_tokens.weight").name = "elsewhere";
  EXPECT_NE(error().find("tensor 'embed_tokens.weight' is missing (looked for "
                         "'model.embed_tokens.weight', 'embed_tokens.weight'"),
            std::string::npos);
}

TEST_F(Load, MissingHeadOfAnUntiedModel) {
  tensor("lm_head.weight").name = "elsewhere";
  EXPECT_EQ(error(), "m/model.safetensors: tensor 'lm_head.weight' [61, 32] is missing");
}

TEST_F(Load, MisshapenTensor) {
  tensor("model.layers.0.self_attn.k_proj.weight").shape = {32, 16};
  EXPECT_EQ(error(),
            "m/model.safetensors: tensor 'model.layers.0.self_attn.k_proj.weight' has the shape "
            "[32, 16]; config.json asks for [16, 32]");
}

TEST_F(Load, WrongType) {
  tensor("model.norm.weight").dtype = "I32";
  EXPECT_EQ(error(),
            "m/model.safetensors: tensor 'model.norm.weight' is I32; supported are F32, F16 and "
            "BF16");
}

TEST_F(Load, TruncatedFile) {
  load_with();
  const std::string half = built_.substr(0, built_.size() / 2);
  io::MemoryFiles files("m", {{"config.json", io::as_bytes(config_text_)},
                              {"model.safetensors", io::as_bytes(half)}});
  try {
    load(files);
    FAIL();
  } catch (const Error& caught) {
    EXPECT_EQ(caught.code, ErrorCode::kDataLoss);
    EXPECT_NE(caught.text.find("truncated"), std::string::npos);
  }
}

TEST_F(Load, UnknownRopeType) {
  config_["rope_scaling"] = {{"rope_type", "spiral"}, {"factor", 2}};
  EXPECT_EQ(error(),
            "m/config.json: rope_scaling: unknown rope type 'spiral'; supported are default, "
            "linear, dynamic, llama3, yarn, longrope, su");
}

TEST_F(Load, UnknownActivation) {
  config_["hidden_act"] = "xielu";
  EXPECT_EQ(error().rfind("m/config.json: field 'hidden_act': unknown activation 'xielu'; "
                          "supported are silu, swish, gelu",
                          0),
            0u)
      << error();
}

// The rule of models::Quantize, seen in memory: 8.5 and 4.5 bits a weight in whole groups.
TEST_F(Load, QuantisesWhatTheRuleSays) {
  config_["tie_word_embeddings"] = true;
  for (Quantize quantize : {Quantize::kQ8, Quantize::kQ4}) {
    const auto model = load_with({.quantize = quantize, .threads = 2});
    EXPECT_EQ(model->info.quantize, quantize);
    bool head = false;
    for (const Parameter& p : model->parameters) {
      const int64_t stored = p.count * static_cast<int64_t>(dtype_bytes(p.dtype));
      const int64_t groups =
          p.shape.size() < 2 ? 0 : (p.shape[0] + 15) / 16 * ((p.shape[1] + 31) / 32);
      const int64_t q8 = groups * (512 + 32), q4 = groups * (256 + 32);
      switch (p.part) {
        case Part::kEmbedding:
          EXPECT_EQ(p.bytes, stored) << p.name;
          break;
        case Part::kNorm:
          EXPECT_EQ(p.bytes, p.count * 4) << p.name;
          break;
        case Part::kHead:
          head = true;
          EXPECT_EQ(p.bytes, q8) << p.name;
          break;
        default:
          EXPECT_EQ(p.bytes, quantize == Quantize::kQ8 ? q8 : q4) << p.name;
      }
    }
    EXPECT_TRUE(head);
  }
}

TEST_F(Load, QuantisedWeights) {
  config_["quantization_config"] = {{"quant_method", "gptq"}};
  EXPECT_NE(error().find("weights quantised by 'gptq' are not supported"), std::string::npos);
}

struct BadField {
  const char* key;
  io::Json value;
  const char* text;
};

TEST_F(Load, FieldsThatCannotBe) {
  const io::Json good = config_;
  const BadField cases[] = {
      {"hidden_size", nullptr, "field 'hidden_size' is missing"},
      {"hidden_size", "many", "field 'hidden_size' must be a whole number, found \"many\""},
      {"hidden_size", 1e30, "field 'hidden_size' must be a whole number"},
      {"num_hidden_layers", -1, "field 'num_hidden_layers' is -1; it must be from 1 to 1024"},
      {"num_attention_heads", 3, "hidden_size 32 is not a multiple of num_attention_heads 3"},
      {"num_key_value_heads", 3, "is not a multiple of num_key_value_heads 3"},
      {"head_dim", 7, "heads of 7 elements"},
      {"rope_scaling", {{"type", "linear"}}, "field 'factor' is missing"},
      {"rope_scaling", {{"type", "linear"}, {"factor", 0}}, "field 'factor' must be above 0"},
      {"rope_scaling",
       {{"type", "longrope"}, {"short_factor", {1.0}}, {"long_factor", {1.0}}},
       "field 'short_factor' has 1 numbers, expected 4"},
      {"rope_theta", -5, "field 'rope_theta' must be above 0"},
      {"tie_word_embeddings", 3, "field 'tie_word_embeddings' must be true or false, found 3"},
      {"rope_scaling", 3, "field 'rope_scaling' must be an object, found 3"},
  };
  for (const BadField& c : cases) {
    config_ = good;
    config_[c.key] = c.value;
    EXPECT_NE(error().find(c.text), std::string::npos) << c.key << " gave: " << error();
  }
}

TEST_F(Load, LengthsThatTheModelCannotServe) {
  EXPECT_EQ(error({.max_model_len = 65}),
            "m/config.json: --max-model-len 65 is above the 64 positions of this model");
  EXPECT_EQ(load_with({.max_model_len = 20})->info.max_model_len, 20);
}

TEST_F(Load, LongropeServesTheShortLengthUnlessAskedForMore) {
  config_["rope_scaling"] = {{"type", "longrope"},
                             {"short_factor", {1, 1, 1, 1}},
                             {"long_factor", {2, 2, 2, 2}},
                             {"original_max_position_embeddings", 16}};
  EXPECT_EQ(load_with()->info.max_model_len, 16);
  EXPECT_EQ(load_with({.max_model_len = 64})->info.max_model_len, 64);
  EXPECT_EQ(load_with()->info.max_len_possible, 64);
}

TEST_F(Load, NamesTensorsThatNothingAskedFor) {
  load_with();
  const Progress none;
  Weights weights(io::load_safetensors(*files_), "m", {}, none);
  weights.find_root("embed_tokens.weight", {"model."});
  weights.table("embed_tokens.weight", 61, 32);
  const std::vector<std::string> left = weights.left_over();
  EXPECT_EQ(left.size(), tensors_.size() - 2);  // the head is not below the root
  EXPECT_EQ(left.front(), "model.layers.0.input_layernorm.weight");
}

TEST_F(Load, ProgressReachesTheEndAlsoWhenATiedHeadIsStored) {
  config_["tie_word_embeddings"] = true;
  load_with();
  int64_t last = 0;
  int64_t total = 0;
  load(*files_, {}, [&](int64_t done, int64_t all) {
    EXPECT_GE(done, last);
    last = done;
    total = all;
  });
  EXPECT_EQ(last, total);
  EXPECT_GT(total, 0);
}

}  // namespace
}  // namespace hearth::models
