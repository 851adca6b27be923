// GET /v1/models and /v1/models/{id}.
#include <algorithm>

#include "base/error.h"
#include "io/json.h"
#include "serve/app.h"

namespace hearth::serve {

using io::Json;

namespace {

Json model_json(const App& app) {
  const ModelHandle& model = app.model;
  Json out = {{"id", model.name},
              {"object", "model"},
              {"created", app.created_s},
              {"owned_by", "hearth"},
              {"root", model.name},
              {"parent", nullptr},
              {"max_model_len", model.engine.max_model_len},
              {"vocab_size", model.codec->vocab_size()},
              {"chat", model.chat != nullptr}};
  if (model.embedding_dimension > 0) {
    out["embedding"] = {{"dimension", model.embedding_dimension},
                        {"pooling", to_string(model.pooling)}};
  }
  return out;
}

bool is_model(const ModelHandle& model, const std::string& name) {
  return name == model.name ||
         std::find(model.aliases.begin(), model.aliases.end(), name) != model.aliases.end();
}

}  // namespace

void check_model(const App& app, const std::string& asked) {
  if (asked.empty() || is_model(app.model, asked)) return;
  throw_error(ErrorCode::kNotFound, "model",
              "the model '{}' is not served here; this server has '{}'", asked, app.model.name);
}

void list_models(Call& call) {
  call.reply->json(200, {{"object", "list"}, {"data", Json::array({model_json(call.app)})}});
}

void get_model(Call& call) {
  check_model(call.app, call.path["id"]);
  call.reply->json(200, model_json(call.app));
}

}  // namespace hearth::serve
