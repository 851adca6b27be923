// POST /v1/embeddings: one vector for each input, as numbers or as base64 of little-endian floats.
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "io/json.h"
#include "serve/app.h"
#include "serve/fields.h"
#include "serve/transcript.h"

namespace hearth::serve {

using io::Json;

namespace {

constexpr size_t kInputsMax = 2048;  // OpenAI's

std::string base64(std::string_view bytes) {
  static constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) {
      group = group << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    }
    for (size_t j = 0; j < 4; ++j) {
      out += i + j > bytes.size() ? '=' : kAlphabet[group >> (18 - 6 * j) & 63];
    }
  }
  return out;
}

std::vector<float> shorten(std::vector<float> vector, size_t dimensions) {
  vector.resize(std::min(vector.size(), dimensions));
  double squares = 0;
  for (const float x : vector) squares += double{x} * x;
  const double length = std::sqrt(squares);
  for (float& x : vector) x = length > 0 ? static_cast<float>(x / length) : 0.0f;
  return vector;
}

struct EmbeddingOptions {
  std::string model;
  bool as_base64 = false;
  size_t dimensions = 0;
};

class EmbeddingSurface final : public Surface {
 public:
  EmbeddingSurface(App& app, std::shared_ptr<Reply> reply, EmbeddingOptions options, size_t inputs)
      : app_(app), reply_(std::move(reply)), options_(options), vectors_(inputs) {}

  void on_prompt_logprobs(int32_t, std::vector<TokenText>) override {}
  void on_piece(Piece) override {}
  void on_vector(int32_t prompt, std::vector<float> vector) override {
    vectors_[static_cast<size_t>(prompt)] = shorten(std::move(vector), options_.dimensions);
  }
  void on_end(const ChoiceEnd& end) override {
    if (end.reason == engine::FinishReason::kStop || failed_) return;
    failed_ = true;
    reply_->error({500, "server_error", end.error, {}, "engine_error", {}});
  }
  void on_done(const Totals& totals) override {
    if (failed_) return;
    Json data = Json::array();
    for (size_t i = 0; i < vectors_.size(); ++i) {
      data.push_back(
          {{"object", "embedding"}, {"index", i}, {"embedding", vector_json(vectors_[i])}});
    }
    reply_->json(
        200, {{"object", "list"},
              {"data", std::move(data)},
              {"model", options_.model},
              {"pooling", to_string(app_.model.pooling)},
              {"usage",
               {{"prompt_tokens", totals.prompt_tokens}, {"total_tokens", totals.prompt_tokens}}}});
  }
  void on_refused(const engine::Admission& refusal) override {
    answer_refusal(app_, *reply_, refusal);
  }
  bool writable() override { return true; }

 private:
  Json vector_json(const std::vector<float>& vector) const {
    if (!options_.as_base64) return vector;
    std::string bytes(vector.size() * sizeof(float), '\0');
    std::memcpy(bytes.data(), vector.data(), bytes.size());
    return base64(bytes);
  }

  App& app_;
  const std::shared_ptr<Reply> reply_;
  const EmbeddingOptions options_;
  std::vector<std::vector<float>> vectors_;
  bool failed_ = false;
};

[[noreturn]] void wrong_input(const std::string& got) {
  throw_error(ErrorCode::kInvalidArgument, "input",
              "'input': expected a string, token ids, or an array of at most {} of those, got {}",
              kInputsMax, got);
}

std::vector<TokenId> read_input(const Json& input, const TextCodec& codec) {
  if (input.is_string()) {
    auto tokens = codec.encode(input.get_ref<const std::string&>(), PromptEdges::kAdd);
    if (tokens.empty()) wrong_input("an empty string");
    return tokens;
  }
  if (!input.is_array() || input.empty()) wrong_input(brief(input));
  std::vector<TokenId> tokens;
  for (const Json& token : input) {
    const bool fits = token.is_number_integer() && token.get<double>() >= 0 &&
                      token.get<double>() < codec.vocab_size();
    if (!fits) wrong_input(brief(token) + " as a token id");
    tokens.push_back(token.get<TokenId>());
  }
  return tokens;
}

std::vector<std::vector<TokenId>> read_inputs(const Fields& fields, const TextCodec& codec) {
  const Json* input = fields.find("input");
  if (!input) wrong_input("nothing");
  const bool one =
      input->is_string() || (input->is_array() && !input->empty() && (*input)[0].is_number());
  if (one) return {read_input(*input, codec)};
  if (!input->is_array() || input->empty() || input->size() > kInputsMax) {
    wrong_input(input->is_array() ? fmt::format("{} of them", input->size()) : brief(*input));
  }
  std::vector<std::vector<TokenId>> out;
  for (const Json& entry : *input) out.push_back(read_input(entry, codec));
  return out;
}

}  // namespace

const char* to_string(engine::Pooling pooling) {
  switch (pooling) {
    case engine::Pooling::kNone:
      return "none";
    case engine::Pooling::kLast:
      return "last";
    case engine::Pooling::kFirst:
      return "first";
    case engine::Pooling::kMean:
      return "mean";
  }
  return "unknown";
}

void embeddings(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body);
  const ModelHandle& model = call.app.model;
  choose_model(call, fields.string("model").value_or(""));
  if (model.embedding_dimension <= 0) {
    throw_error(ErrorCode::kUnsupported, "model", "the model '{}' gives no embeddings", model.name);
  }
  EmbeddingOptions options;
  options.model = call.model;
  options.as_base64 = fields.choice("encoding_format", {"float", "base64"}) == "base64";
  options.dimensions =
      static_cast<size_t>(fields.integer("dimensions", 1, model.embedding_dimension)
                              .value_or(model.embedding_dimension));
  GenerationRequest request;
  for (std::vector<TokenId>& tokens : read_inputs(fields, *model.codec)) {
    engine::Request prompt;
    prompt.prompt = std::move(tokens);
    prompt.max_tokens = 0;
    prompt.pooling = model.pooling;
    prompt.cache_salt = call.tenant.cache_salt;
    prompt.service_class = engine::ServiceClass::kProvisioned;
    request.prompts.push_back(std::move(prompt));
  }
  const size_t inputs = request.prompts.size();
  start_generation(call, std::move(request),
                   std::make_unique<EmbeddingSurface>(call.app, call.reply, options, inputs));
}

}  // namespace hearth::serve
