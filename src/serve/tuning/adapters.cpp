// /v1/adapters: adapters of a tenant, uploaded and kept. And DELETE /v1/models/{id}, OpenAI's way
// to let a tuned model go.
#include <filesystem>

#include "base/log.h"
#include "io/json.h"
#include "serve/app.h"
#include "serve/files/form.h"
#include "serve/list_json.h"
#include "serve/query.h"
#include "serve/services.h"
#include "serve/tenants/administration.h"

namespace hearth::serve {
namespace {

using io::Json;

Json adapter_json(const App& app, const ServedAdapter& adapter,
                  const std::optional<ShelvedAdapter>& kept) {
  return {{"object", "adapter"},
          {"id", adapter.name},
          {"owner", text_or_null(adapter.owner)},
          {"source", kept ? kept->source : "folder"},
          {"created_at", adapter.created_s},
          {"parent", app.model.name},
          {"tier", to_string(app.adapters.tier_of(adapter.id))},
          {"base_model", text_or_null(adapter.info.base_model)},
          {"rank", adapter.info.rank},
          {"parameters", adapter.info.parameters},
          {"bytes", adapter.info.bytes},
          {"pages", adapter.info.pages}};
}

// PEFT's two files, in the fields that are called after them.
std::string file_of_field(const std::string& field) {
  if (field == "config") return "adapter_config.json";
  if (field == "weights") return "adapter_model.safetensors";
  throw_error(ErrorCode::kInvalidArgument, field,
              "'{}' is no file of an adapter: expected 'config' (adapter_config.json) and "
              "'weights' (adapter_model.safetensors)",
              field);
}

// The folder goes unless it is kept.
class Draft {
 public:
  explicit Draft(std::string folder) : folder_(std::move(folder)) {}
  ~Draft() {
    std::error_code ignored;
    if (!kept_) std::filesystem::remove_all(folder_, ignored);
  }
  const std::string& folder() const { return folder_; }
  void keep() { kept_ = true; }

 private:
  const std::string folder_;
  bool kept_ = false;
};

void let_go(Call& call, const std::string& name) {
  Services& services = call.app.services;
  const auto kept = services.shelf.find(owner_of(call), name);
  if (!kept) {
    throw_error(ErrorCode::kNotFound, "model", "no adapter '{}' is kept here for this project",
                name);
  }
  call.app.adapters.unload(kept->owner, name);
  services.shelf.erase(*kept);
  log::info("adapter deleted name={} tenant={}", name, call.tenant.name);
  administration(call).note("adapter.deleted", call.tenant.name, name, Json::object());
}

}  // namespace

void create_adapter(Call& call) {
  Services& services = call.app.services;
  const std::string id = call.app.ids.make("adapter_");
  Draft draft(services.shelf.make_folder(id));
  Form form = read_form(*call.reply, {[&](const std::string& field) {
                                        return draft.folder() + "/" + file_of_field(field);
                                      },
                                      call.app.options.services.file_bytes_max});
  const std::string& name = form.require("name");
  for (const char* field : {"config", "weights"}) form.require_file(field).file->commit();
  const std::string owner = owner_of(call);
  choose_model(call, "");
  if (name == call.model || call.app.adapters.find(call.tenant.name, name)) {
    return call.reply->error(conflict(fmt::format("there is a model '{}' already", name)));
  }
  ServedAdapter served;
  try {
    served = call.app.adapters.load(owner, name, draft.folder());
  } catch (const Error& error) {
    // What the client sent is at fault, wherever it was found.
    const bool at_name = error.where == "lora_name";
    if (error.code == ErrorCode::kResourceExhausted || error.code == ErrorCode::kTooLarge) throw;
    throw_error(ErrorCode::kInvalidArgument, at_name ? "name" : "weights", "{}", error.text);
  }
  const ShelvedAdapter kept{owner, name, draft.folder(), "upload", call.now_s()};
  try {
    services.shelf.add(kept);
  } catch (const Error&) {
    call.app.adapters.unload(owner, name);
    throw;
  }
  draft.keep();
  log::info("adapter uploaded name={} tenant={}", name, call.tenant.name);
  administration(call).note("adapter.created", call.tenant.name, name, {{"id", id}});
  call.reply->json(200, adapter_json(call.app, served, kept));
}

void list_adapters(Call& call) {
  Listed<ServedAdapter> listed;
  const std::string project = listed_project(call, Query(call.reply->request().query));
  // What is everybody's belongs to the lists of each.
  listed.entries = project.empty() ? call.app.adapters.all() : call.app.adapters.list(project);
  call.reply->json(200, list_json(listed, [&](const ServedAdapter& adapter) {
                     return adapter_json(call.app, adapter,
                                         call.app.services.shelf.find(adapter.owner, adapter.name));
                   }));
}

void delete_adapter(Call& call) {
  const std::string name = call.path["id"];
  let_go(call, name);
  call.reply->json(200, {{"id", name}, {"object", "adapter"}, {"deleted", true}});
}

void delete_model(Call& call) {
  const std::string name = call.path["id"];
  let_go(call, name);
  call.reply->json(200, {{"id", name}, {"object", "model"}, {"deleted", true}});
}

}  // namespace hearth::serve
