// Deployments as they are remembered: deployments.db in the data directory. One thread at a time.
#pragma once

#include <string>
#include <vector>

#include "io/sqlite.h"
#include "serve/deployments/deployment.h"

namespace hearth::serve {

class DeploymentStore {
 public:
  // An empty data_dir keeps them in memory. Throws Error naming the file.
  explicit DeploymentStore(const std::string& data_dir);

  std::vector<Deployment> all();
  // Gives it its number. What is written survives the end of the process once this returns.
  void insert(Deployment& deployment);
  void update(const Deployment& deployment);
  void erase(engine::DeploymentId number);

 private:
  io::Database database_;
};

}  // namespace hearth::serve
