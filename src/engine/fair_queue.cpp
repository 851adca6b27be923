#include "engine/fair_queue.h"

#include <algorithm>

#include "base/check.h"

namespace hearth::engine {
namespace {

constexpr Nanos kMinute = 60 * kSecond;

size_t index_of(ServiceClass service_class) { return static_cast<size_t>(service_class); }

}  // namespace

Cost FairQueue::rate_of(const Key& key) const {
  const auto found = rates_.find(key.second);
  const bool bought = key.first == ServiceClass::kProvisioned && found != rates_.end();
  return bought ? found->second : kCommonRate;
}

void FairQueue::set_rate(DeploymentId deployment, Cost rate_per_minute) {
  CHECK(rate_per_minute > 0, "deployment {} with a rate of {}", deployment, rate_per_minute);
  rates_[deployment] = rate_per_minute;
  const auto line = flows_.find({ServiceClass::kProvisioned, deployment});
  if (line != flows_.end()) change_rate(*line->second, rate_per_minute);
}

// How far it is ahead or behind stays the same work, which at another rate is another time.
void FairQueue::change_rate(Flow& flow, Cost rate) {
  const Nanos base = floor_of(flow.service_class);
  const __int128 ahead = flow.served - base;
  flow.served = base + static_cast<Nanos>(ahead * flow.rate / rate);
  flow.rate = rate;
}

void FairQueue::forget(DeploymentId deployment) {
  rates_.erase(deployment);
  for (const ServiceClass each : kServiceClasses) {
    const auto line = flows_.find({each, deployment});
    if (line != flows_.end() && line->second->requests == 0) flows_.erase(line);
  }
}

Flow& FairQueue::enter(ServiceClass service_class, DeploymentId deployment) {
  const Key key{service_class, deployment};
  std::unique_ptr<Flow>& line = flows_[key];
  if (!line) {
    line = std::make_unique<Flow>(Flow{.service_class = service_class,
                                       .deployment = deployment,
                                       .rate = rate_of(key),
                                       .queue = RequestQueue(long_threshold_)});
  }
  ++line->requests;
  return *line;
}

// The counter of a line stays as long as somebody can come back to it.
void FairQueue::leave(Flow& flow) {
  --flow.requests;
  const bool known = flow.deployment == kNoDeployment || rates_.contains(flow.deployment);
  if (flow.requests == 0 && !known) flows_.erase({flow.service_class, flow.deployment});
}

void FairQueue::push(Sequence& sequence) {
  Flow& flow = *sequence.owner->flow;
  if (flow.queue.size() == 0) {
    flow.served = std::max(flow.served, floor_of(flow.service_class));
    active(flow.service_class).push_back(&flow);
  }
  flow.queue.push(sequence);
  flow.waiting_tokens += sequence.size();
  ++size_;
}

// The counter of the line that is next, or was.
Nanos FairQueue::floor_of(ServiceClass service_class) const {
  const size_t index = index_of(service_class);
  const auto less = [](const Flow* a, const Flow* b) { return a->served < b->served; };
  const auto next = std::min_element(active_[index].begin(), active_[index].end(), less);
  return next == active_[index].end() ? last_served_[index] : (*next)->served;
}

void FairQueue::remove(Sequence& sequence) {
  Flow& flow = *sequence.owner->flow;
  flow.queue.remove(sequence);
  flow.waiting_tokens -= sequence.size();
  --size_;
  if (flow.queue.size() > 0) return;
  std::erase(active(flow.service_class), &flow);
  last_served_[index_of(flow.service_class)] = flow.served;
}

bool FairQueue::before(const Sequence& a, const Sequence& b) {
  const Flow* first = a.owner->flow;
  const Flow* second = b.owner->flow;
  if (first != second && first->served != second->served) return first->served < second->served;
  return a.rank < b.rank;
}

Sequence* FairQueue::front(ServiceClass service_class, Lane lane) const {
  Sequence* first = nullptr;
  for (const Flow* flow : active_[index_of(service_class)]) {
    Sequence* candidate = flow->queue.front(lane);
    if (candidate && (!first || before(*candidate, *first))) first = candidate;
  }
  return first;
}

Sequence* FairQueue::front(ServiceClass service_class) const {
  Sequence* shorter = front(service_class, Lane::kShort);
  Sequence* longer = front(service_class, Lane::kLong);
  if (!shorter || !longer) return shorter ? shorter : longer;
  return before(*shorter, *longer) ? shorter : longer;
}

void FairQueue::charge(Flow& flow, Cost cost) {
  flow.served += static_cast<Nanos>(static_cast<__int128>(cost) * kMinute / flow.rate);
}

int32_t FairQueue::size(ServiceClass service_class) const {
  int32_t waiting = 0;
  for (const Flow* flow : active_[index_of(service_class)]) waiting += flow->queue.size();
  return waiting;
}

int32_t FairQueue::size(ServiceClass service_class, Lane lane) const {
  int32_t waiting = 0;
  for (const Flow* flow : active_[index_of(service_class)]) waiting += flow->queue.size(lane);
  return waiting;
}

int64_t FairQueue::tokens_above(ServiceClass below) const {
  int64_t tokens = 0;
  for (size_t index = 0; index < index_of(below); ++index) {
    for (const Flow* flow : active_[index]) tokens += flow->waiting_tokens;
  }
  return tokens;
}

Cost FairQueue::rate_present(ServiceClass service_class) const {
  Cost rate = 0;
  for (const auto& [key, flow] : flows_) {
    if (key.first == service_class && flow->requests > 0) rate += flow->rate;
  }
  return rate;
}

std::vector<const Flow*> FairQueue::flows() const {
  std::vector<const Flow*> all;
  for (const auto& [key, flow] : flows_) all.push_back(flow.get());
  return all;
}

}  // namespace hearth::engine
