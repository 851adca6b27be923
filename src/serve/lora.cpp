// POST /v1/load_lora_adapter and /v1/unload_lora_adapter: adapters come and go while the server
// runs. The fields are vLLM's.
#include <filesystem>

#include "base/error.h"
#include "base/log.h"
#include "io/json.h"
#include "serve/app.h"
#include "serve/fields.h"

namespace hearth::serve {
namespace {

namespace fs = std::filesystem;
using io::Json;

// The folder that a tenant means by a path: inside --lora-dir, and not inside another tenant's part
// of it. What is not the tenant's to see does not exist.
std::string folder_of(const Call& call, const std::string& path) {
  const std::string& root = call.app.options.adapters.folder;
  if (root.empty()) {
    throw_error(ErrorCode::kForbidden, "lora_path",
                "this server loads adapters from no folder; start it with --lora-dir");
  }
  const fs::path base = fs::weakly_canonical(root);
  const fs::path folder = fs::weakly_canonical(base / path);
  const fs::path inside = folder.lexically_relative(base);
  const std::string first = inside.empty() ? ".." : inside.begin()->string();
  const bool foreign = first.starts_with('@') && first != fmt::format("@{}", call.tenant.name);
  if (first == ".." || first == "." || foreign || !fs::is_directory(folder)) {
    throw_error(ErrorCode::kNotFound, "lora_path", "'lora_path': there is no folder '{}' in {}",
                path, "--lora-dir");
  }
  return folder.string();
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
    call.app.adapters.load(owner_of(call), name, folder);
  } catch (const Error& error) {
    if (error.where == "lora_name") throw;
    // A file that the client chose is the client's mistake.
    const std::string where = error.where.empty() ? std::string() : error.where + ": ";
    throw_error(ErrorCode::kInvalidArgument, "lora_path", "{}{}", where, error.text);
  }
  log::info("adapter loaded name={} tenant={}", name, call.tenant.name);
  answer_text(call, fmt::format("Success: LoRA adapter '{}' added successfully.", name));
}

void unload_lora_adapter(Call& call) {
  const Json body = call.json_body();
  const std::string name = Fields(body).require_string("lora_name");
  if (!call.app.adapters.unload(owner_of(call), name)) {
    throw_error(ErrorCode::kNotFound, "lora_name", "the lora adapter '{}' cannot be found", name);
  }
  log::info("adapter unloaded name={} tenant={}", name, call.tenant.name);
  answer_text(call, fmt::format("Success: LoRA adapter '{}' removed successfully.", name));
}

}  // namespace hearth::serve
