// The fields of everything that is stored or sent, once each and in the order in which they are
// written. New fields come at the end; none may leave or change place (codec/binary.h).
#pragma once

#include <type_traits>

#include "forge/core/agent.h"
#include "forge/core/image.h"

namespace hearth::forge {

// The struct or a const one: writers read, readers write.
template <typename T, typename Struct>
concept Is = std::is_same_v<std::remove_const_t<T>, Struct>;

template <typename A, Is<Slot> T>
void fields(A& a, T& v) {
  a(v.node, v.device, v.milli);
}
template <typename A, Is<DeviceKind> T>
void fields(A& a, T& v) {
  a(v.name, v.memory_gb, v.power_w);
}
template <typename A, Is<Region> T>
void fields(A& a, T& v) {
  a(v.name, v.carbon_g_per_kwh);
}
template <typename A, Is<Cluster> T>
void fields(A& a, T& v) {
  a(v.name, v.region, v.spot);
}
template <typename A, Is<Node> T>
void fields(A& a, T& v) {
  a(v.name, v.cluster, v.kind, v.devices, v.address, v.link_port);
}
template <typename A, Is<VirtualCluster> T>
void fields(A& a, T& v) {
  a(v.name, v.parent, v.guarantee, v.borrow_max, v.lend_max, v.budget);
}
// Nodes are stored and sent one by one.
template <typename A, Is<FleetSpec> T>
void fields(A& a, T& v) {
  a(v.kinds, v.regions, v.clusters, v.virtual_clusters);
}
template <typename A, Is<RateTable> T>
void fields(A& a, T& v) {
  a(v.rates);
}
template <typename A, Is<ImageRef> T>
void fields(A& a, T& v) {
  a(v.epoch, v.number, v.bytes);
}
template <typename A, Is<Program> T>
void fields(A& a, T& v) {
  a(v.command, v.directory, v.environment, v.spawn, v.grace_ms, v.saved_exit, v.checkpoint,
    v.checkpoint_every_ms, v.connections);
}
template <typename A, Is<JobSpec> T>
void fields(A& a, T& v) {
  a(v.name, v.vc, v.type, v.tier, v.min_workers, v.max_workers, v.share_milli, v.regions, v.kinds,
    v.memory_gb_min, v.locality, v.spot, v.stop_cost, v.expected, v.max_failures, v.rates,
    v.clusters, v.program, v.key, v.deadline, v.budget, v.replica_of);
}
template <typename A, Is<Why> T>
void fields(A& a, T& v) {
  a(v.reason, v.other, v.at);
}
template <typename A, Is<Part> T>
void fields(A& a, T& v) {
  a(v.state, v.outcome);
}
template <typename A, Is<Job> T>
void fields(A& a, T& v) {
  a(v.id, v.spec, v.state, v.epoch, v.target, v.placed, v.parts, v.stop_mode, v.cancelled, v.why,
    v.moved, v.submitted_at, v.changed_at, v.first_run_at, v.ran_ms, v.device_ms, v.failures,
    v.starts, v.preemptions, v.work_left, v.image);
}
template <typename A, Is<NodeHealth> T>
void fields(A& a, T& v) {
  a(v.state, v.strikes, v.proofs, v.relapses, v.lemon, v.lemon_at, v.why);
}
template <typename A, Is<NodeImage> T>
void fields(A& a, T& v) {
  a(v.incarnation, v.up, v.open, v.health);
}
template <typename A, Is<Note> T>
void fields(A& a, T& v) {
  a(v.at, v.kind, v.job, v.epoch, v.node, v.reason, v.other, v.outcome, v.state, v.health);
}
template <typename A, Is<LeaseTerms> T>
void fields(A& a, T& v) {
  a(v.lease_ms, v.heartbeat_ms, v.resend_ms, v.fence_ms);
}

// --- between server and agents ---
template <typename A, Is<Joined> T>
void fields(A& a, T& v) {
  a(v.node, v.incarnation);
}
template <typename A, typename T>
requires Is<T, Heartbeat> || Is<T, Lease>
void fields(A& a, T& v) { a(v.node, v.incarnation, v.sent_at); }
template <typename A, typename T>
requires Is<T, Started> || Is<T, Acknowledge>
void fields(A& a, T& v) { a(v.node, v.incarnation, v.job, v.epoch); }
template <typename A, Is<Ended> T>
void fields(A& a, T& v) {
  a(v.node, v.incarnation, v.job, v.epoch, v.outcome, v.image);
}
template <typename A, Is<Imaged> T>
void fields(A& a, T& v) {
  a(v.node, v.incarnation, v.job, v.epoch, v.image);
}
template <typename A, Is<CheckResult> T>
void fields(A& a, T& v) {
  a(v.name, v.good, v.text);
}
template <typename A, Is<LinkResult> T>
void fields(A& a, T& v) {
  a(v.peer, v.good, v.text);
}
template <typename A, Is<Checked> T>
void fields(A& a, T& v) {
  a(v.node, v.incarnation, v.results, v.links);
}
template <typename A, Is<Start> T>
void fields(A& a, T& v) {
  a(v.node, v.incarnation, v.job, v.epoch, v.slots, v.first_rank, v.world, v.meet_at, v.program,
    v.image);
}
template <typename A, Is<Stop> T>
void fields(A& a, T& v) {
  a(v.node, v.incarnation, v.job, v.epoch, v.mode);
}
template <typename A, Is<Rejoin> T>
void fields(A& a, T& v) {
  a(v.node, v.incarnation, v.above);
}

}  // namespace hearth::forge
