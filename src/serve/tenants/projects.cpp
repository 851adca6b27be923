// /v1/organization/projects and their rate limits: tenants, in OpenAI's words.
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

constexpr int64_t kLimitMax = int64_t{1} << 53;  // what every client's JSON keeps exact
constexpr const char* kRateLimitId = "rl-all";   // one for all models

Json project_json(const Project& project) {
  return {{"id", project.id},
          {"object", "organization.project"},
          {"name", project.name},
          {"created_at", project.created_s},
          {"archived_at", time_or_null(project.archived_s)},
          {"status", project.archived_s > 0 ? "archived" : "active"}};
}

Json rate_limit_json(const TenantLimits& limits) {
  return {{"object", "project.rate_limit"},
          {"id", kRateLimitId},
          {"model", "*"},
          {"max_requests_per_1_minute", limits.requests_per_minute},
          {"max_tokens_per_1_minute", limits.tokens_per_minute},
          {"max_tokens_per_1_day", limits.tokens_per_day},
          {"max_requests_at_once", limits.requests_at_once}};
}

// What the body is silent about stays.
TenantLimits read_limits(const Fields& fields, TenantLimits limits) {
  const auto read = [&](const char* name, int64_t& to) {
    to = fields.integer(name, 0, kLimitMax).value_or(to);
  };
  read("max_requests_per_1_minute", limits.requests_per_minute);
  read("max_tokens_per_1_minute", limits.tokens_per_minute);
  read("max_tokens_per_1_day", limits.tokens_per_day);
  read("max_requests_at_once", limits.requests_at_once);
  return limits;
}

}  // namespace

void list_projects(Call& call) {
  const Query query(call.reply->request().query);
  const bool archived = query.text("include_archived") == "true";
  const auto listed = call.app.services.tenants.list(
      query.page(20, 100),
      archived ? TenantStore::Archived::kInclude : TenantStore::Archived::kLeaveOut);
  call.reply->json(200, list_json(listed, project_json));
}

void create_project(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body);
  const Project project =
      administration(call).add_project(fields.require_string("name"), read_limits(fields, {}));
  call.app.services.keys.reload();
  call.reply->json(200, project_json(project));
}

void get_project(Call& call) {
  call.reply->json(200, project_json(administration(call).find(call.path["project"])));
}

// A name is for ever: everything that belongs to the tenant is marked with it.
void modify_project(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body);
  const Project project = administration(call).find(call.path["project"]);
  if (const auto name = fields.string("name"); name && *name != project.name) {
    throw_error(ErrorCode::kUnsupported, "name", "'name': a project keeps its name, '{}'",
                project.name);
  }
  call.reply->json(200, project_json(project));
}

void archive_project(Call& call) {
  const Project project = administration(call).archive(call.path["project"]);
  call.app.services.keys.reload();
  call.reply->json(200, project_json(project));
}

void list_rate_limits(Call& call) {
  const Project project = administration(call).find(call.path["project"]);
  call.reply->json(200, {{"object", "list"},
                         {"data", Json::array({rate_limit_json(project.limits)})},
                         {"first_id", kRateLimitId},
                         {"last_id", kRateLimitId},
                         {"has_more", false}});
}

void modify_rate_limit(Call& call) {
  const Json body = call.json_body();
  if (call.path["id"] != kRateLimitId) {
    throw_error(ErrorCode::kNotFound, "id", "there is one rate limit a project, '{}'",
                kRateLimitId);
  }
  const Project before = administration(call).find(call.path["project"]);
  const TenantLimits limits = read_limits(Fields(body), before.limits);
  const Project project = administration(call).set_limits(before.id, limits);
  call.app.services.keys.reload();
  call.reply->json(200, rate_limit_json(project.limits));
}

}  // namespace hearth::serve
