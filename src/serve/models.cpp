// GET /v1/models and /v1/models/{id}.
#include <algorithm>

#include "base/error.h"
#include "io/json.h"
#include "serve/app.h"

namespace hearth::serve {

using io::Json;

namespace {

// What a request that is silent gets, by the names of its fields; only what the model states.
Json sampling_json(const GenerationDefaults& defaults) {
  Json out = Json::object();
  const auto add = [&](const char* name, const auto& value) {
    if (value) out[name] = *value;
  };
  add("temperature", defaults.temperature);
  add("top_p", defaults.top_p);
  add("top_k", defaults.top_k);
  add("min_p", defaults.min_p);
  add("typical_p", defaults.typical_p);
  add("repetition_penalty", defaults.repetition_penalty);
  return out;
}

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
  if (Json sampling = sampling_json(model.defaults); !sampling.empty()) {
    out["sampling"] = std::move(sampling);
  }
  if (model.embedding_dimension > 0) {
    out["embedding"] = {{"dimension", model.embedding_dimension},
                        {"pooling", to_string(model.pooling)}};
  }
  return out;
}

Json adapter_json(const App& app, const ServedAdapter& adapter) {
  Json out = model_json(app);
  out["id"] = adapter.name;
  out["created"] = adapter.created_s;
  out["root"] = adapter.name;
  out["parent"] = app.model.name;
  out["lora"] = {{"rank", adapter.info.rank},
                 {"parameters", adapter.info.parameters},
                 {"bytes", adapter.info.bytes}};
  return out;
}

bool is_model(const ModelHandle& model, const std::string& name) {
  return name == model.name ||
         std::find(model.aliases.begin(), model.aliases.end(), name) != model.aliases.end();
}

}  // namespace

void choose_model(Call& call, const std::string& asked) {
  call.model = call.app.model.name;
  call.adapter = engine::kBaseModel;
  if (asked.empty() || is_model(call.app.model, asked)) return;
  const auto adapter = call.app.adapters.find(call.tenant.name, asked);
  if (!adapter) {
    throw_error(ErrorCode::kNotFound, "model",
                "the model '{}' is not served here; this server has '{}'", asked,
                call.app.model.name);
  }
  call.model = adapter->name;
  call.adapter = adapter->id;
}

void list_models(Call& call) {
  Json data = Json::array({model_json(call.app)});
  for (const ServedAdapter& adapter : call.app.adapters.list(call.tenant.name)) {
    data.push_back(adapter_json(call.app, adapter));
  }
  call.reply->json(200, {{"object", "list"}, {"data", std::move(data)}});
}

void get_model(Call& call) {
  const std::string& asked = call.path["id"];
  choose_model(call, asked);
  if (call.adapter == engine::kBaseModel) return call.reply->json(200, model_json(call.app));
  const auto adapter = call.app.adapters.find(call.tenant.name, asked);
  if (!adapter) return choose_model(call, asked);  // unloaded meanwhile
  call.reply->json(200, adapter_json(call.app, *adapter));
}

}  // namespace hearth::serve
