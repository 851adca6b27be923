// /v1/deployments: contracts, and what is going on in them. An admin makes and changes them; a
// tenant sees its own.
#include <cmath>

#include "base/error.h"
#include "base/log.h"
#include "flywheel/ptu.h"
#include "io/json.h"
#include "serve/app.h"
#include "serve/deployments/deployments.h"
#include "serve/fields.h"
#include "serve/tenants/administration.h"

namespace hearth::serve {
namespace {

using engine::ServiceClass;
using io::Json;

Json deployment_json(const DeploymentStatus& status) {
  const Deployment& one = status.deployment;
  return {{"id", one.id},
          {"object", "deployment"},
          {"name", one.name},
          {"tenant", one.tenant},
          {"model", one.model},
          {"service_class", to_string(one.service_class)},
          {"ptu", one.ptu()},
          {"spillover", to_string(one.spillover)},
          {"created_at", one.created_s},
          {"updated_at", one.updated_s},
          {"status",
           {{"utilization", status.utilization_permille / 1000.0},
            {"used_ptu", status.used_ptu},
            {"prompt_tokens_per_minute", status.prompt_tokens_per_minute},
            {"generated_tokens_per_minute", status.generated_tokens_per_minute},
            {"time_per_token_ms", status.time_per_token_ms},
            {"running", status.running},
            {"waiting", status.waiting},
            {"requests", status.requests},
            {"refused", status.refused},
            {"spilled", status.spilled},
            {"prompt_tokens", status.prompt_tokens},
            {"cached_tokens", status.cached_tokens},
            {"generated_tokens", status.generated_tokens},
            {"token_gaps", status.token_gaps},
            {"token_seconds", status.token_seconds},
            {"ptu_minutes", status.ptu_minutes}}}};
}

Json capacity_json(const PtuCapacity& capacity) {
  const bool known = capacity.total > 0;
  return {{"ptu", known ? Json(capacity.total) : Json(nullptr)},
          {"sold", capacity.sold},
          {"left", known ? Json(std::max(capacity.total - capacity.sold, 0.0)) : Json(nullptr)},
          {"source", capacity.source}};
}

std::optional<int64_t> read_ptu(const Fields& fields) {
  const auto value = fields.number("ptu", 0, flywheel::kPtuMax);
  if (!value) return std::nullopt;
  return std::llround(*value * flywheel::kMilli);
}

std::optional<Spillover> read_spillover(const Fields& fields) {
  const auto value = fields.choice("spillover", {"refuse", "standard"});
  if (!value) return std::nullopt;
  return *value == "standard" ? Spillover::kStandard : Spillover::kRefuse;
}

ServiceClass read_class(const Fields& fields) {
  const std::string value =
      fields.choice("service_class", {"provisioned", "standard", "batch"}).value_or("provisioned");
  for (const ServiceClass each : engine::kServiceClasses) {
    if (value == to_string(each)) return each;
  }
  return ServiceClass::kStandard;
}

// Who bought what is money: the audit log says who changed it.
void note(Call& call, const char* what, const Deployment& one) {
  administration(call).note(fmt::format("deployment.{}", what), one.tenant, one.id,
                            {{"name", one.name},
                             {"model", one.model},
                             {"service_class", to_string(one.service_class)},
                             {"ptu", one.ptu()},
                             {"spillover", to_string(one.spillover)}});
}

// What is somebody else's does not exist.
DeploymentStatus visible(const Call& call, const std::string& id) {
  DeploymentStatus status = call.app.deployments.find(id);
  const std::string tenant = tenant_seen_by(call);
  if (!tenant.empty() && status.deployment.tenant != tenant) {
    throw_error(ErrorCode::kNotFound, "deployment", "there is no deployment '{}'", id);
  }
  return status;
}

}  // namespace

void list_deployments(Call& call) {
  Json data = Json::array();
  for (const DeploymentStatus& each : call.app.deployments.list(tenant_seen_by(call))) {
    data.push_back(deployment_json(each));
  }
  Json body = {{"object", "list"}, {"data", std::move(data)}};
  if (tenant_seen_by(call).empty()) {
    body["capacity"] = capacity_json(call.app.deployments.capacity());
  }
  call.reply->json(200, body);
}

void create_deployment(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body);
  Deployment wanted;
  wanted.id = call.app.ids.make("dep_");
  wanted.name = fields.require_string("name");
  wanted.tenant = fields.string("tenant").value_or(call.tenant.name);
  wanted.model = fields.string("model").value_or(call.app.model.name);
  wanted.service_class = read_class(fields);
  wanted.milli_ptu = read_ptu(fields).value_or(0);
  wanted.spillover = read_spillover(fields).value_or(Spillover::kRefuse);
  const DeploymentStatus made = call.app.deployments.create(std::move(wanted));
  log::info("deployment created name={} tenant={} ptu={}", made.deployment.name,
            made.deployment.tenant, made.deployment.ptu());
  note(call, "created", made.deployment);
  call.reply->json(200, deployment_json(made));
}

void get_deployment(Call& call) {
  call.reply->json(200, deployment_json(visible(call, call.path["id"])));
}

void modify_deployment(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body);
  const Deployments::Change change{fields.string("name"), read_ptu(fields), read_spillover(fields)};
  const DeploymentStatus changed = call.app.deployments.update(call.path["id"], change);
  log::info("deployment changed name={} tenant={} ptu={}", changed.deployment.name,
            changed.deployment.tenant, changed.deployment.ptu());
  note(call, "updated", changed.deployment);
  call.reply->json(200, deployment_json(changed));
}

void delete_deployment(Call& call) {
  const DeploymentStatus found = call.app.deployments.find(call.path["id"]);
  call.app.deployments.remove(found.deployment.id);
  log::info("deployment deleted name={} tenant={}", found.deployment.name, found.deployment.tenant);
  note(call, "deleted", found.deployment);
  call.reply->json(200, {{"id", found.deployment.id}, {"object", "deployment"}, {"deleted", true}});
}

}  // namespace hearth::serve
