// API keys over the API: those of a project, and those of admins. A secret is shown once, when its
// key is made.
#include "io/json.h"
#include "serve/app.h"
#include "serve/fields.h"
#include "serve/list_json.h"
#include "serve/query.h"
#include "serve/services.h"
#include "serve/tenants/administration.h"

namespace hearth::serve {
namespace {

using io::Json;

constexpr size_t kScopesMax = 16;

Json key_json(const StoredKey& key) {
  const bool admin = key.role == Role::kAdmin;
  return {{"object", admin ? "organization.admin_api_key" : "organization.project.api_key"},
          {"id", key.id},
          {"name", key.name},
          {"redacted_value", key.prefix + "..." + key.tail},
          {"created_at", key.created_s},
          {"last_used_at", time_or_null(key.last_used_s)},
          {"expires_at", time_or_null(key.expires_s)},
          {"role", to_string(key.role)},
          {"scopes", key.scopes},
          {"project", text_or_null(key.project)}};
}

void answer_new_key(Call& call, const std::string& project) {
  const Json body = call.json_body();
  const Fields fields(body);
  KeyWish wish;
  wish.project = project;
  wish.name = fields.string("name").value_or("");
  wish.scopes = fields.strings("scopes", kScopesMax);
  wish.expires_s = fields.integer("expires_at", call.now_s() + 1, kForeverS).value_or(0);
  if (const auto seconds = fields.integer("expires_in", 1, kForeverS)) {
    wish.expires_s = call.now_s() + *seconds;
  }
  const NewKey made = administration(call).add_key(wish);
  call.app.services.keys.reload();
  Json out = key_json(made.key);
  out["value"] = made.secret;
  call.reply->json(200, out);
}

// Of a project by its name, or of the admins.
void answer_keys(Call& call, const std::string& project) {
  const Query query(call.reply->request().query);
  const auto listed = call.app.services.tenants.list_keys(project, query.page(20, 100));
  call.reply->json(200, list_json(listed, key_json));
}

void answer_key(Call& call, const std::string& project) {
  const auto key = call.app.services.tenants.find_key(call.path["id"]);
  if (!key || key->project != project) {
    throw_error(ErrorCode::kNotFound, "id", "there is no key '{}' here", call.path["id"]);
  }
  call.reply->json(200, key_json(*key));
}

void drop_key(Call& call, const std::string& project) {
  administration(call).remove_key(project, call.path["id"]);
  call.app.services.keys.reload();
  call.reply->json(200, {{"object", project.empty() ? "organization.admin_api_key.deleted"
                                                    : "organization.project.api_key.deleted"},
                         {"id", call.path["id"]},
                         {"deleted", true}});
}

std::string project_of(Call& call) { return administration(call).find(call.path["project"]).name; }

}  // namespace

void list_api_keys(Call& call) { answer_keys(call, project_of(call)); }
void create_api_key(Call& call) { answer_new_key(call, project_of(call)); }
void get_api_key(Call& call) { answer_key(call, project_of(call)); }
void delete_api_key(Call& call) { drop_key(call, project_of(call)); }
void list_admin_api_keys(Call& call) { answer_keys(call, ""); }
void create_admin_api_key(Call& call) { answer_new_key(call, ""); }
void get_admin_api_key(Call& call) { answer_key(call, ""); }
void delete_admin_api_key(Call& call) { drop_key(call, ""); }

// For the console: what this key may see and do.
void whoami(Call& call) {
  call.reply->json(200, {{"object", "caller"},
                         {"project", call.tenant.name},
                         {"api_key_id", call.caller.key_id},
                         {"role", to_string(call.caller.role)},
                         {"scopes", call.caller.scopes},
                         {"open", call.app.services.keys.open()}});
}

}  // namespace hearth::serve
