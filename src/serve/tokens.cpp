// POST /tokenize and /detokenize, in vLLM's shapes.
#include "base/error.h"
#include "io/json.h"
#include "serve/app.h"
#include "serve/chat_job.h"

namespace hearth::serve {

using io::Json;

namespace {

constexpr size_t kTokensMax = size_t{1} << 22;

std::vector<TokenId> tokens_of_chat(const App& app, const Fields& fields) {
  ChatJob job;
  job.messages = normalise_messages(fields.require_array("messages"), "messages");
  read_tools(fields, job);
  if (const Json* kwargs = fields.object("chat_template_kwargs")) job.template_kwargs = *kwargs;
  job.add_generation_prompt = fields.boolean("add_generation_prompt").value_or(true);
  job.continue_final_message = fields.boolean("continue_final_message").value_or(false);
  return make_chat_prompt(app, job).tokens;
}

}  // namespace

void tokenize(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body);
  const TextCodec& codec = *call.app.model.codec;
  choose_model(call, fields.string("model").value_or(""));
  std::vector<TokenId> tokens;
  if (fields.has("messages")) {
    tokens = tokens_of_chat(call.app, fields);
  } else {
    const bool edges = fields.boolean("add_special_tokens").value_or(true);
    tokens = codec.encode(fields.require_string("prompt"),
                          edges ? PromptEdges::kAdd : PromptEdges::kBare);
  }
  Json out = {{"count", tokens.size()},
              {"max_model_len", call.app.model.engine.max_model_len},
              {"tokens", tokens}};
  if (fields.boolean("return_token_strs").value_or(false)) {
    out["token_strs"] = Json::array();
    for (const TokenId token : tokens) out["token_strs"].push_back(codec.token_bytes(token));
  }
  call.reply->json(200, out);
}

void detokenize(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body);
  const TextCodec& codec = *call.app.model.codec;
  choose_model(call, fields.string("model").value_or(""));
  fields.require_array("tokens");
  const std::vector<TokenId> tokens = fields.integers("tokens", kTokensMax);
  for (const TokenId token : tokens) {
    if (token >= 0 && token < codec.vocab_size()) continue;
    throw_error(ErrorCode::kInvalidArgument, "tokens",
                "'tokens': expected token ids below {}, got {}", codec.vocab_size(), token);
  }
  call.reply->json(200, {{"prompt", codec.decode(tokens, SpecialTokens::kKeep)}});
}

}  // namespace hearth::serve
