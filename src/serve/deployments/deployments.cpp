#include "serve/deployments/deployments.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "flywheel/ptu.h"
#include "serve/deployments/deployment_line.h"

namespace hearth::serve {
namespace {

using engine::ServiceClass;

constexpr const char* kAnyModel = "*";
constexpr size_t kNameMax = 128;
constexpr size_t kDeploymentsMax = 10'000;

// What can stand in a path, a header and a label as it is.
bool is_name(const std::string& name) {
  return !name.empty() && name.size() <= kNameMax &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.' || c == ':';
         });
}

}  // namespace

Deployments::Deployments(const std::string& data_dir, EngineLoop& engine, const Clock& clock)
    : engine_(engine), clock_(clock), store_(data_dir) {
  for (const Deployment& one : store_.all()) {
    lines_[one.number] = std::make_shared<DeploymentLine>(one, clock_);
    tell_engine(one);
  }
}

Deployments::~Deployments() = default;

void Deployments::tell_engine(const Deployment& deployment) {
  if (deployment.service_class != ServiceClass::kProvisioned) return;
  engine_.set_deployment(deployment.number, flywheel::rate_of(deployment.milli_ptu));
}

double Deployments::sold_without(engine::DeploymentId number) const {
  double sold = 0;
  for (const auto& [other, line] : lines_) {
    const Deployment one = line->deployment();
    if (other != number && one.service_class == ServiceClass::kProvisioned) {
      sold += one.ptu();
    }
  }
  return sold;
}

PtuCapacity Deployments::capacity_locked() const {
  const EngineCosts costs = engine_.costs();
  PtuCapacity capacity;
  capacity.total = flywheel::ptu_of(costs.capacity);
  capacity.sold = sold_without(engine::kNoDeployment);
  if (costs.source == EngineCosts::Source::kCalibrated) capacity.source = "calibrated";
  if (costs.source == EngineCosts::Source::kLearned) capacity.source = "learned";
  return capacity;
}

PtuCapacity Deployments::capacity() const {
  const std::lock_guard lock(mutex_);
  return capacity_locked();
}

engine::ServiceClass Deployments::best_class(const std::string& tenant) const {
  const std::lock_guard lock(mutex_);
  ServiceClass best = ServiceClass::kStandard;
  for (const auto& [number, line] : lines_) {
    const Deployment one = line->deployment();
    if (one.tenant == tenant) best = std::min(best, one.service_class);
  }
  return best;
}

void Deployments::check(const Deployment& wanted) const {
  const auto refuse = [](const char* field, std::string text) {
    throw Error(ErrorCode::kInvalidArgument, std::move(text), field);
  };
  if (!is_name(wanted.name)) {
    refuse("name",
           fmt::format("'name' has 1 to {} letters, digits, '-', '_', '.' or ':'", kNameMax));
  }
  const bool bought = wanted.service_class == ServiceClass::kProvisioned;
  if (bought != (wanted.milli_ptu > 0)) {
    refuse("ptu", bought ? "'ptu' of a provisioned deployment is at least 0.001"
                         : "'ptu' is for provisioned deployments only");
  }
  if (!bought && wanted.spillover != Spillover::kRefuse) {
    refuse("spillover", "'spillover' is for provisioned deployments only");
  }
  for (const auto& [number, line] : lines_) {
    const Deployment other = line->deployment();
    if (number == wanted.number || other.tenant != wanted.tenant) continue;
    if (other.name == wanted.name) {
      refuse("name", fmt::format("'{}' has a deployment '{}' already", wanted.tenant, wanted.name));
    }
    if (other.model == wanted.model && other.service_class == wanted.service_class) {
      refuse("model",
             fmt::format("'{}' has a {} deployment of '{}' already: '{}'; change that one",
                         wanted.tenant, to_string(wanted.service_class), wanted.model, other.name));
    }
  }
  // What is learned from few steps is no promise; what was measured is.
  const PtuCapacity capacity = capacity_locked();
  const double others = sold_without(wanted.number);
  const bool measured = engine_.costs().source == EngineCosts::Source::kCalibrated;
  if (bought && measured && others + wanted.ptu() > capacity.total) {
    refuse("ptu", fmt::format("this machine has {:.3f} PTU for this model and {:.3f} are sold: "
                              "{:.3f} are left",
                              capacity.total, others, std::max(capacity.total - others, 0.0)));
  }
}

DeploymentStatus Deployments::create(Deployment wanted) {
  const std::lock_guard lock(mutex_);
  if (lines_.size() >= kDeploymentsMax) {
    throw_error(ErrorCode::kInvalidArgument, "name", "there are {} deployments already",
                kDeploymentsMax);
  }
  wanted.number = engine::kNoDeployment;
  wanted.created_s = wanted.updated_s = clock_.wall() / kSecond;
  check(wanted);
  store_.insert(wanted);
  const auto line = std::make_shared<DeploymentLine>(wanted, clock_);
  lines_[wanted.number] = line;
  tell_engine(wanted);
  return line->status();
}

DeploymentStatus Deployments::update(const std::string& id, const Change& change) {
  const std::lock_guard lock(mutex_);
  const std::shared_ptr<DeploymentLine>& line = line_of(id);
  Deployment wanted = line->deployment();
  wanted.name = change.name.value_or(wanted.name);
  wanted.milli_ptu = change.milli_ptu.value_or(wanted.milli_ptu);
  wanted.spillover = change.spillover.value_or(wanted.spillover);
  wanted.updated_s = clock_.wall() / kSecond;
  check(wanted);
  store_.update(wanted);
  line->change(wanted);
  tell_engine(wanted);
  return line->status();
}

void Deployments::remove(const std::string& id) {
  const std::lock_guard lock(mutex_);
  const engine::DeploymentId number = line_of(id)->deployment().number;
  store_.erase(number);
  lines_.erase(number);
  engine_.remove_deployment(number);
}

const std::shared_ptr<DeploymentLine>& Deployments::line_of(const std::string& id) const {
  const std::shared_ptr<DeploymentLine>* found = nullptr;
  int named = 0;
  for (const auto& [number, line] : lines_) {
    const Deployment one = line->deployment();
    if (one.id == id) return line;
    if (one.name != id) continue;
    found = &line;
    ++named;
  }
  if (named == 1) return *found;
  const char* what = named == 0 ? "there is none of that name or id here"
                                : "several tenants have one of that name; use its id";
  throw_error(ErrorCode::kNotFound, "deployment", "deployment '{}': {}", id, what);
}

DeploymentStatus Deployments::find(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  return line_of(id)->status();
}

std::vector<DeploymentStatus> Deployments::list(const std::string& tenant) const {
  const std::lock_guard lock(mutex_);
  std::vector<DeploymentStatus> all;
  for (const auto& [number, line] : lines_) {
    DeploymentStatus status = line->status();
    if (tenant.empty() || status.deployment.tenant == tenant) all.push_back(std::move(status));
  }
  return all;
}

// The best class that the wish allows; of one class the one that names the model.
std::shared_ptr<DeploymentLine> Deployments::choose(const std::string& tenant,
                                                    const std::string& model, TierWish wish) const {
  std::shared_ptr<DeploymentLine> best;
  std::pair<ServiceClass, bool> rank;
  for (const auto& [number, line] : lines_) {
    const Deployment one = line->deployment();
    const bool any = one.model == kAnyModel;
    if (one.tenant != tenant || (!any && one.model != model)) continue;
    if (wish == TierWish::kStandard && one.service_class != ServiceClass::kStandard) continue;
    if (wish == TierWish::kBatch && one.service_class != ServiceClass::kBatch) continue;
    const std::pair candidate{one.service_class, any};
    if (best && rank <= candidate) continue;
    best = line;
    rank = candidate;
  }
  return best;
}

Placement Deployments::place(const std::string& tenant, const std::string& model, TierWish wish,
                             std::span<const engine::Request> prompts) {
  std::shared_ptr<DeploymentLine> line;
  {
    const std::lock_guard lock(mutex_);
    line = choose(tenant, model, wish);
  }
  if (line) return line->place(prompts, engine_.costs().prices);
  Placement placement;
  if (wish == TierWish::kBatch) placement.service_class = ServiceClass::kBatch;
  return placement;
}

void Deployments::tick() {
  const std::lock_guard lock(mutex_);
  for (const auto& [number, line] : lines_) line->tick();
}

}  // namespace hearth::serve
