#include "forge/server/views.h"

#include <algorithm>
#include <fmt/format.h>

#include "forge/core/explain.h"
#include "forge/server/control.h"
#include "forge/server/job_json.h"
#include "io/json.h"

namespace hearth::forge {

using io::Json;

namespace {

const char* outcome_name(Outcome outcome) {
  constexpr const char* kNames[] = {"saved", "killed", "succeeded", "failed"};
  return kNames[static_cast<int>(outcome)];
}

const char* node_state(const Scheduler& scheduler, NodeId node) {
  const NodeImage image = scheduler.node_image(node);
  if (image.incarnation == 0) return "expected";
  if (!image.up) return "lost";
  if (image.health.out()) return to_string(image.health.state);
  return image.open ? "up" : "draining";
}

const Node& node_of(const Scheduler& scheduler, NodeId id) {
  return scheduler.spec().nodes[static_cast<size_t>(id)];
}

std::string where(const Scheduler& scheduler, const Placement& slots) {
  if (slots.empty()) return {};
  const std::string first = node_of(scheduler, slots[0].node).name;
  const int32_t nodes = nodes_of(slots);
  return nodes == 1 ? first : fmt::format("{} and {} more", first, nodes - 1);
}

Json slots_view(const Scheduler& scheduler, const Placement& slots) {
  Json out = Json::array();
  for (const Slot& slot : slots) {
    out.push_back({{"node", node_of(scheduler, slot.node).name},
                   {"device", slot.device},
                   {"share", static_cast<double>(slot.milli) / kWholeDevice}});
  }
  return out;
}

// Of the devices that it asked for since it came, the part that it had: what its tier promises.
double service_level(const Job& job, Millis now) {
  const Millis asked = (job.over() ? job.changed_at : now) - job.submitted_at;
  if (asked <= 0) return 1;
  return std::min(1.0, static_cast<double>(job.ran_until(now)) / static_cast<double>(asked));
}

Json node_view(const Scheduler& scheduler, NodeId id) {
  const Node& node = node_of(scheduler, id);
  const FleetSpec& spec = scheduler.spec();
  std::vector<Json> devices(static_cast<size_t>(node.devices), Json::array());
  int32_t busy = 0;
  for (JobId job_id : scheduler.jobs_on(id)) {
    for (const Slot& slot : scheduler.job(job_id).placed) {
      if (slot.node != id) continue;
      busy += slot.milli;
      devices[static_cast<size_t>(slot.device)].push_back(
          {{"job", job_id}, {"share", static_cast<double>(slot.milli) / kWholeDevice}});
    }
  }
  const Cluster& cluster = spec.clusters[static_cast<size_t>(node.cluster)];
  const NodeHealth health = scheduler.node_image(id).health;
  return {{"name", node.name},
          {"cluster", cluster.name},
          {"region", spec.regions[static_cast<size_t>(cluster.region)].name},
          {"kind", spec.kinds[static_cast<size_t>(node.kind)].name},
          {"state", node_state(scheduler, id)},
          {"address", node.address},
          {"health", to_string(health.state)},
          {"health_why", health.why},
          {"lemon", lemon_score(health, scheduler.now(), scheduler.health_terms())},
          {"busy", static_cast<double>(busy) / kWholeDevice},
          {"devices", devices}};
}

Json lists_view(const Scheduler& scheduler, const Sample& now) {
  const FleetSpec& spec = scheduler.spec();
  Json regions = Json::array(), clusters = Json::array(), kinds = Json::array(),
       vcs = Json::array();
  for (const Region& region : spec.regions)
    regions.push_back({{"name", region.name}, {"carbon_g_per_kwh", region.carbon_g_per_kwh}});
  for (const Cluster& cluster : spec.clusters) {
    clusters.push_back({{"name", cluster.name},
                        {"region", spec.regions[static_cast<size_t>(cluster.region)].name},
                        {"spot", cluster.spot == Spot::kAllowed}});
  }
  for (const DeviceKind& kind : spec.kinds) {
    kinds.push_back(
        {{"name", kind.name}, {"memory_gb", kind.memory_gb}, {"power_w", kind.power_w}});
  }
  for (size_t v = 0; v < spec.virtual_clusters.size(); ++v) {
    const VirtualCluster& vc = spec.virtual_clusters[v];
    Json view = {{"name", vc.name},
                 {"guarantee", vc.guarantee},
                 {"used", static_cast<double>(now.vc_milli[v]) / kWholeDevice}};
    view["parent"] = vc.parent < 0
                         ? Json(nullptr)
                         : Json(spec.virtual_clusters[static_cast<size_t>(vc.parent)].name);
    view["borrow_max"] = vc.borrow_max == INT32_MAX ? Json(nullptr) : Json(vc.borrow_max);
    if (vc.budget > 0) {
      view["budget_device_hours"] = static_cast<double>(vc.budget) / 3'600'000;
      view["used_device_hours"] =
          static_cast<double>(scheduler.device_time(static_cast<VcId>(v))) / 3'600'000;
    }
    view["lend_max"] = vc.lend_max == INT32_MAX ? Json(nullptr) : Json(vc.lend_max);
    vcs.push_back(std::move(view));
  }
  return {
      {"regions", regions}, {"clusters", clusters}, {"kinds", kinds}, {"virtual_clusters", vcs}};
}

std::string job_name(const Scheduler& scheduler, JobId id) {
  return fmt::format("{} ({})", id, scheduler.job(id).spec.name);
}

std::string note_text(const Scheduler& scheduler, const Note& note) {
  const std::string job = note.job >= 0 ? job_name(scheduler, note.job) : "";
  const std::string node = note.node >= 0 ? node_of(scheduler, note.node).name : "";
  const auto because = [&]() -> std::string {
    const bool taken = note.reason == Reason::kPreempted || note.reason == Reason::kShrunk;
    if (taken && note.other >= 0) return " for job " + job_name(scheduler, note.other);
    return fmt::format(" ({})", to_string(note.reason));
  };
  switch (note.kind) {
    case NoteKind::kSubmitted:
      return fmt::format("job {} was submitted", job);
    case NoteKind::kStarted:
      return fmt::format("job {} starts on {}, epoch {}{}", job, node, note.epoch, because());
    case NoteKind::kRunning:
      return fmt::format("job {} runs", job);
    case NoteKind::kStopping:
      return fmt::format("job {} is asked to stop{}", job, because());
    case NoteKind::kEnded:
      return fmt::format("job {} ended on {}: {}", job, node, outcome_name(note.outcome));
    case NoteKind::kQueued:
      return fmt::format("job {} waits{}", job, because());
    case NoteKind::kOver:
      return fmt::format("job {} {}", job, to_string(note.state));
    case NoteKind::kNodeUp:
      return fmt::format("node {} is up", node);
    case NoteKind::kNodeLost:
      return fmt::format("node {} is lost: silent for a lease, or started anew", node);
    case NoteKind::kDrained:
      return fmt::format("node {} is being drained", node);
    case NoteKind::kUndrained:
      return fmt::format("node {} may take jobs again", node);
    case NoteKind::kHealth:
      return fmt::format("node {} is {} now", node, to_string(note.health));
  }
  return {};
}

}  // namespace

Json job_line(const Scheduler& scheduler, const Job& job) {
  const FleetSpec& spec = scheduler.spec();
  return {{"id", job.id},
          {"name", job.spec.name},
          {"virtual_cluster", spec.virtual_clusters[static_cast<size_t>(job.spec.vc)].name},
          {"type", to_string(job.spec.type)},
          {"tier", to_string(job.spec.tier)},
          {"state", to_string(job.state)},
          {"reason", to_string(job.why.reason)},
          {"workers", job.placed.size()},
          {"min_workers", job.spec.min_workers},
          {"max_workers", job.spec.max_workers},
          {"where", where(scheduler, job.placed)},
          {"epoch", job.epoch},
          {"submitted_at", job.submitted_at},
          {"changed_at", job.changed_at},
          {"ran_ms", job.ran_until(scheduler.now())},
          {"preemptions", job.preemptions},
          {"failures", job.failures}};
}

Json job_view(const Scheduler& scheduler, const Job& job) {
  Json out = job_line(scheduler, job);
  out["spec"] = job_spec_json(job.spec, scheduler.spec());
  out["placed"] = slots_view(scheduler, job.placed);
  out["target"] = slots_view(scheduler, job.target);
  out["device_ms"] = job.device_until(scheduler.now());
  out["starts"] = job.starts;
  if (job.image.exists()) {
    out["image"] = {
        {"epoch", job.image.epoch}, {"number", job.image.number}, {"bytes", job.image.bytes}};
  }
  out["first_run_at"] = job.first_run_at;
  out["service_level"] = service_level(job, scheduler.now());
  out["service_level_promised"] = service_level_milli(job.spec.tier) / 1000.0;
  return out;
}

// A deployment and the replicas that were added to it, with the addresses at which those that run
// listen: the node of their first worker, the port that Forge gave them.
Json replicas_view(const Scheduler& scheduler, JobId deployment) {
  Json list = Json::array();
  scheduler.job(deployment);
  for (JobId id : scheduler.active()) {
    const Job& job = scheduler.job(id);
    if (id != deployment && job.spec.replica_of != deployment) continue;
    Json line = {{"id", id}, {"state", to_string(job.state)}, {"epoch", job.epoch}};
    if (!job.placed.empty()) {
      const std::string& address = node_of(scheduler, job.placed[0].node).address;
      line["node"] = node_of(scheduler, job.placed[0].node).name;
      line["endpoint"] =
          fmt::format("http://{}:{}", address.empty() ? "127.0.0.1" : address, service_port(id));
    }
    list.push_back(std::move(line));
  }
  return {{"deployment", deployment}, {"replicas", list}};
}

// They are taken from all over the cluster, so that what neighbours share is not all that is tried.
Json peers_view(const Scheduler& scheduler, NodeId node, int64_t from, int count) {
  const std::vector<Node>& nodes = scheduler.spec().nodes;
  const auto all = static_cast<int64_t>(nodes.size());
  const auto fit = [&](NodeId id) {
    const Node& other = node_of(scheduler, id);
    const NodeImage image = scheduler.node_image(id);
    return id != node && other.link_port > 0 && image.up && !image.health.out() &&
           other.cluster == node_of(scheduler, node).cluster;
  };
  std::vector<NodeId> chosen;
  for (int turn = 0; turn < count; ++turn) {
    const int64_t begin = std::max<int64_t>(0, from) % all + turn * all / count;
    for (int64_t tried = 0; tried < all; ++tried) {
      const auto id = static_cast<NodeId>((begin + tried) % all);
      if (!fit(id) || std::find(chosen.begin(), chosen.end(), id) != chosen.end()) continue;
      chosen.push_back(id);
      break;
    }
  }
  Json list = Json::array();
  for (NodeId id : chosen) {
    const Node& other = node_of(scheduler, id);
    const bool six = other.address.find(':') != std::string::npos;
    const std::string host = six ? "[" + other.address + "]" : other.address;
    list.push_back({{"node", id},
                    {"name", other.name},
                    {"kind", scheduler.spec().kinds[static_cast<size_t>(other.kind)].name},
                    {"url", fmt::format("http://{}:{}", host, other.link_port)}});
  }
  return {{"peers", list}};
}

Json explain_view(const Scheduler& scheduler, JobId job) {
  const Explanation why = explain(scheduler, job);
  Json pools = Json::array();
  for (const PoolView& pool : why.pools) {
    pools.push_back({{"cluster", pool.cluster},
                     {"kind", pool.kind},
                     {"verdict", pool.verdict},
                     {"devices", pool.devices},
                     {"free", pool.free},
                     {"largest", pool.largest}});
  }
  return {{"job", job}, {"sentence", why.sentence}, {"pools", pools}, {"text", why.text()}};
}

Json state_view(const Scheduler& scheduler) {
  const Sample now = sample_of(scheduler);
  Json out = {{"now", scheduler.now()}, {"policy", scheduler.policy().name}};
  out.update(lists_view(scheduler, now));
  out["totals"] = {{"devices", now.devices},
                   {"busy", static_cast<double>(now.busy_milli) / kWholeDevice},
                   {"running", now.running},
                   {"waiting", now.waiting},
                   {"jobs", scheduler.jobs().size()}};
  out["nodes"] = Json::array();
  for (size_t n = 0; n < scheduler.spec().nodes.size(); ++n)
    out["nodes"].push_back(node_view(scheduler, static_cast<NodeId>(n)));
  return out;
}

Json timeline_view(const Scheduler& scheduler, const std::vector<Span>& spans,
                   const std::vector<Sample>& samples) {
  Json rows = Json::array(), points = Json::array();
  for (const Span& span : spans) {
    const Job& job = scheduler.job(span.job);
    const VcId vc = job.spec.vc;
    Json row = {
        {"job", span.job},
        {"name", job.spec.name},
        {"virtual_cluster", scheduler.spec().virtual_clusters[static_cast<size_t>(vc)].name},
        {"tier", to_string(job.spec.tier)},
        {"epoch", span.epoch},
        {"node", node_of(scheduler, span.node).name},
        {"devices", io::Json::parse("[" + span.devices + "]")},
        {"from", span.from}};
    const bool over = span.until >= 0;
    row["until"] = over ? Json(span.until) : Json(nullptr);
    row["outcome"] = over ? Json(outcome_name(span.outcome)) : Json(nullptr);
    rows.push_back(std::move(row));
  }
  for (const Sample& sample : samples) {
    Json used = Json::object();
    for (size_t v = 0; v < sample.vc_milli.size(); ++v)
      used[scheduler.spec().virtual_clusters[v].name] =
          static_cast<double>(sample.vc_milli[v]) / kWholeDevice;
    points.push_back({{"at", sample.at},
                      {"devices", sample.devices},
                      {"busy", static_cast<double>(sample.busy_milli) / kWholeDevice},
                      {"running", sample.running},
                      {"waiting", sample.waiting},
                      {"virtual_clusters", used}});
  }
  return {{"now", scheduler.now()}, {"spans", rows}, {"samples", points}};
}

Json note_view(const Scheduler& scheduler, const NumberedNote& numbered) {
  const Note& note = numbered.note;
  Json out = {{"number", numbered.number},
              {"at", note.at},
              {"kind", to_string(note.kind)},
              {"text", note_text(scheduler, note)}};
  if (note.job >= 0) out["job"] = note.job, out["epoch"] = note.epoch;
  if (note.node >= 0) out["node"] = node_of(scheduler, note.node).name;
  return out;
}

std::string metrics_text(const Scheduler& scheduler) {
  const Sample now = sample_of(scheduler);
  std::string out;
  const auto gauge = [&](const char* name, const char* help, double value) {
    out += fmt::format(
        "# HELP hearth:forge_{0} {1}\n# TYPE hearth:forge_{0} gauge\n"
        "hearth:forge_{0} {2}\n",
        name, help, value);
  };
  gauge("devices", "Devices of nodes that are up.", now.devices);
  gauge("devices_busy", "Devices given to workers.",
        static_cast<double>(now.busy_milli) / kWholeDevice);
  gauge("jobs_running", "Jobs with workers.", now.running);
  gauge("jobs_waiting", "Jobs without.", now.waiting);
  return out;
}

}  // namespace hearth::forge
