// POST /v1/load_lora_adapter and /v1/unload_lora_adapter: adapters come and go while the server
// runs, and are remembered. The fields are vLLM's.
#include "base/error.h"
#include "base/log.h"
#include "io/json.h"
#include "serve/adapter_folder.h"
#include "serve/app.h"
#include "serve/fields.h"
#include "serve/services.h"
#include "serve/tenants/administration.h"

namespace hearth::serve {
namespace {

using io::Json;

std::string folder_of(const Call& call, const std::string& path) {
  const std::string& root = call.app.options.adapters.folder;
  if (root.empty()) {
    throw_error(ErrorCode::kForbidden, "lora_path",
                "this server loads adapters from no folder; start it with --lora-dir");
  }
  std::string folder = folder_inside(root, call.tenant.name, path);
  if (folder.empty()) {
    throw_error(ErrorCode::kNotFound, "lora_path", "'lora_path': there is no folder '{}' in {}",
                path, "--lora-dir");
  }
  return folder;
}

// Served, and remembered; neither where one of the two fails.
void load_and_keep(Call& call, const std::string& name, const std::string& folder) {
  const std::string owner = owner_of(call);
  call.app.adapters.load(owner, name, folder);
  try {
    call.app.services.shelf.add({owner, name, folder, kFolderSource, call.now_s()});
  } catch (...) {
    call.app.adapters.unload(owner, name);
    throw;
  }
}

void answer_text(Call& call, std::string text) {
  call.reply->raw({200, {{"Content-Type", "text/plain; charset=utf-8"}}, std::move(text)});
}

}  // namespace

void load_lora_adapter(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body);
  const std::string name = fields.require_string("lora_name");
  const std::string folder = folder_of(call, fields.require_string("lora_path"));
  choose_model(call, "");
  if (name == call.model || call.app.adapters.find(call.tenant.name, name)) {
    throw_error(ErrorCode::kInvalidArgument, "lora_name",
                "the lora adapter '{}' has already been loaded; unload it first", name);
  }
  try {
    load_and_keep(call, name, folder);
  } catch (const Error& error) {
    if (error.where == "lora_name") throw;
    // A file that the client chose is the client's mistake.
    const std::string where = error.where.empty() ? std::string() : error.where + ": ";
    throw_error(ErrorCode::kInvalidArgument, "lora_path", "{}{}", where, error.text);
  }
  log::info("adapter loaded name={} tenant={}", name, call.tenant.name);
  administration(call).note("adapter.created", call.tenant.name, name, {{"folder", folder}});
  answer_text(call, fmt::format("Success: LoRA adapter '{}' added successfully.", name));
}

void unload_lora_adapter(Call& call) {
  const Json body = call.json_body();
  const std::string name = Fields(body).require_string("lora_name");
  AdapterShelf& shelf = call.app.services.shelf;
  const auto kept = shelf.find(owner_of(call), name);
  const bool remembered = kept && !kept->has_own_files();
  if (remembered) shelf.erase(*kept);
  // One whose folder has vanished is remembered, but not served.
  if (!call.app.adapters.unload(owner_of(call), name) && !remembered) {
    throw_error(ErrorCode::kNotFound, "lora_name", "the lora adapter '{}' cannot be found", name);
  }
  log::info("adapter unloaded name={} tenant={}", name, call.tenant.name);
  administration(call).note("adapter.deleted", call.tenant.name, name, Json::object());
  answer_text(call, fmt::format("Success: LoRA adapter '{}' removed successfully.", name));
}

}  // namespace hearth::serve
