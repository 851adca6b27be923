#include "serve/deployments/deployment_store.h"

#include "base/error.h"

namespace hearth::serve {
namespace {

using engine::ServiceClass;

// Numbers are never given twice: the engine may still hold requests of one that is gone.
constexpr const char* kDeploymentsTable =
    "CREATE TABLE IF NOT EXISTS deployments ("
    "  number INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  id TEXT NOT NULL UNIQUE,"
    "  name TEXT NOT NULL,"
    "  tenant TEXT NOT NULL,"
    "  model TEXT NOT NULL,"
    "  service_class TEXT NOT NULL,"
    "  milli_ptu INTEGER NOT NULL,"
    "  spillover TEXT NOT NULL,"
    "  created_s INTEGER NOT NULL,"
    "  updated_s INTEGER NOT NULL,"
    "  UNIQUE (tenant, name))";

ServiceClass class_of(const std::string& text) {
  for (const ServiceClass each : engine::kServiceClasses) {
    if (text == to_string(each)) return each;
  }
  throw_error(ErrorCode::kDataLoss, "deployments.db", "there is no service class '{}'", text);
}

}  // namespace

const char* to_string(ServiceClass service_class) {
  switch (service_class) {
    case ServiceClass::kProvisioned:
      return "provisioned";
    case ServiceClass::kStandard:
      return "standard";
    case ServiceClass::kBatch:
      return "batch";
  }
  return "unknown";
}

const char* to_string(Spillover spillover) {
  return spillover == Spillover::kStandard ? "standard" : "refuse";
}

DeploymentStore::DeploymentStore(const std::string& data_dir)
    : database_(data_dir.empty() ? ":memory:" : data_dir + "/deployments.db") {
  database_.run(kDeploymentsTable);
}

std::vector<Deployment> DeploymentStore::all() {
  auto rows = database_.prepare(
      "SELECT number, id, name, tenant, model, service_class, milli_ptu, spillover, created_s, "
      "updated_s FROM deployments ORDER BY number");
  std::vector<Deployment> found;
  while (rows.step()) {
    Deployment& one = found.emplace_back();
    one.number = static_cast<engine::DeploymentId>(rows.integer(0));
    one.id = rows.text(1);
    one.name = rows.text(2);
    one.tenant = rows.text(3);
    one.model = rows.text(4);
    one.service_class = class_of(rows.text(5));
    one.milli_ptu = rows.integer(6);
    one.spillover =
        rows.text(7) == to_string(Spillover::kStandard) ? Spillover::kStandard : Spillover::kRefuse;
    one.created_s = rows.integer(8);
    one.updated_s = rows.integer(9);
  }
  return found;
}

void DeploymentStore::insert(Deployment& deployment) {
  database_
      .prepare(
          "INSERT INTO deployments (id, name, tenant, model, service_class, milli_ptu, spillover, "
          "created_s, updated_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
      .bind(deployment.id)
      .bind(deployment.name)
      .bind(deployment.tenant)
      .bind(deployment.model)
      .bind(to_string(deployment.service_class))
      .bind(deployment.milli_ptu)
      .bind(to_string(deployment.spillover))
      .bind(deployment.created_s)
      .bind(deployment.updated_s)
      .run();
  auto row = database_.prepare("SELECT number FROM deployments WHERE id = ?");
  row.bind(deployment.id);
  if (row.step()) deployment.number = static_cast<engine::DeploymentId>(row.integer(0));
}

void DeploymentStore::update(const Deployment& deployment) {
  database_
      .prepare(
          "UPDATE deployments SET name = ?, milli_ptu = ?, spillover = ?, updated_s = ? "
          "WHERE number = ?")
      .bind(deployment.name)
      .bind(deployment.milli_ptu)
      .bind(to_string(deployment.spillover))
      .bind(deployment.updated_s)
      .bind(int64_t{deployment.number})
      .run();
}

void DeploymentStore::erase(engine::DeploymentId number) {
  database_.prepare("DELETE FROM deployments WHERE number = ?").bind(int64_t{number}).run();
}

}  // namespace hearth::serve
