// The nouns of Forge: regions, clusters, nodes and devices; virtual clusters; jobs; slots. Plain
// data, described by whoever runs the fleet and never changed by the core.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace hearth::forge {

using RegionId = int32_t;
using ClusterId = int32_t;
using KindId = int32_t;
using NodeId = int32_t;
using VcId = int32_t;
using JobId = int32_t;
using Epoch = int64_t;
using Incarnation = int64_t;
using Millis = int64_t;

// One device; jobs may ask for a part of one.
constexpr int32_t kWholeDevice = 1000;
inline constexpr int32_t kWorkersMax = 100'000;  // of one job

enum class Tier { kPremium, kStandard, kBasic };
enum class JobType { kTraining, kInference, kBatch, kCommand };
// How near to each other the workers of a job must be.
enum class Locality { kAny, kRegion, kCluster, kNode };
enum class Spot { kRefused, kAllowed };

const char* to_string(Tier tier);
const char* to_string(JobType type);

// The part of its asked devices' time that a tier is promised, in thousandths.
int32_t service_level_milli(Tier tier);

struct DeviceKind {
  std::string name;
  int32_t memory_gb = 0;
  int32_t power_w = 0;
};

struct Region {
  std::string name;
  int32_t carbon_g_per_kwh = 0;
};

struct Cluster {
  std::string name;
  RegionId region = 0;
  Spot spot = Spot::kRefused;  // kAllowed: rented by the minute; only jobs that allow it come here
};

struct Node {
  std::string name;
  ClusterId cluster = 0;
  KindId kind = 0;
  int32_t devices = 0;
  std::string address;    // where the workers of a gang find each other; empty: nowhere
  int32_t link_port = 0;  // there its agent lets others try the way to it; 0: nowhere
};

// A share of the fleet. The guarantee is for the whole subtree, in whole devices.
struct VirtualCluster {
  std::string name;
  VcId parent = -1;
  int32_t guarantee = 0;
  int32_t borrow_max = INT32_MAX;  // devices above the guarantee
  int32_t lend_max = INT32_MAX;    // unused guaranteed devices that others may use
  Millis budget = 0;  // of device time, of all jobs of the subtree together; 0: no limit
};

struct FleetSpec {
  std::vector<DeviceKind> kinds;
  std::vector<Region> regions;
  std::vector<Cluster> clusters;
  std::vector<Node> nodes;
  std::vector<VirtualCluster> virtual_clusters;
};

// Work a second by kind of device and number of workers, as last measured or profiled.
struct RateTable {
  std::vector<std::vector<double>> rates;  // [kind][workers]; entry 0 of a row is 0

  double at(KindId kind, int32_t workers) const;
};

// One process for each worker, or one for each node that then makes its workers itself.
enum class Spawn { kPerWorker, kPerNode };

// How the work of a job outlives its workers.
enum class CheckpointBy {
  kLibrary,  // asked to stop, the program saves itself and exits with `saved_exit`
  kProcess,  // its processes are written down as they are, and go on elsewhere knowing nothing of
             // it
  kNone,     // it does not: a job that has to go begins again
};
// What becomes of TCP connections that a program has when its processes are written down.
enum class Connections {
  kRefuse,  // the program is not saved as long as it has any
  kClose,   // it finds them closed when it goes on
};

// A state of a job's processes that is on disk. Numbers count on within an epoch.
struct ImageRef {
  Epoch epoch = 0;  // in which it was made; 0: there is none
  int32_t number = 0;
  int64_t bytes = 0;  // of the processes, before anything is packed
  bool operator==(const ImageRef&) const = default;
  bool exists() const { return epoch > 0; }
};

// What the workers of a job run. The core carries it to the agents and never looks inside.
struct Program {
  std::vector<std::string> command;  // words; {rank}, {world}, {workers}, {devices} are filled in
  std::string directory;             // empty: one of the run's own
  std::vector<std::string> environment;  // NAME=value
  Spawn spawn = Spawn::kPerWorker;
  Millis grace_ms = 30'000;  // from the request to stop to the kill
  int32_t saved_exit = 3;    // the status that says: asked to stop, and everything is saved
  CheckpointBy checkpoint = CheckpointBy::kLibrary;
  Millis checkpoint_every_ms = 0;  // of kProcess, while it runs; 0: only when it has to stop
  Connections connections = Connections::kRefuse;
};

struct JobSpec {
  std::string name;
  VcId vc = 0;
  JobType type = JobType::kTraining;
  Tier tier = Tier::kStandard;
  int32_t min_workers = 1;
  int32_t max_workers = 1;
  int32_t share_milli = kWholeDevice;  // of one device, for each worker
  std::vector<RegionId> regions;       // residency; empty: anywhere
  std::vector<KindId> kinds;           // empty: any; else in the order of preference
  int32_t memory_gb_min = 0;
  Locality locality = Locality::kAny;
  Spot spot = Spot::kRefused;
  Millis stop_cost = 30'000;  // to checkpoint, move and start again; the unit of reclaim
  Millis expected = 0;        // run time at min_workers, as its owner believes; 0: unknown
  int32_t max_failures = 2;   // exits other than 0 before the job is given up
  std::shared_ptr<const RateTable> rates;  // null: every kind the same, no gain from more workers
  std::vector<ClusterId> clusters;         // empty: any
  std::shared_ptr<const Program> program;  // null in simulations
  std::string key;        // its owner's own name for this submission: sent twice, taken once
  Millis deadline = 0;    // after its submission; 0: none. It counts where `expected` is known
  Millis budget = 0;      // of device time, of all its runs together; 0: no limit
  JobId replica_of = -1;  // one more of the same deployment; -1: a job of its own
};

// One worker's place. A placement is its job's slots sorted by node, all of one kind.
struct Slot {
  NodeId node = 0;
  int32_t device = 0;
  int32_t milli = kWholeDevice;
  auto operator<=>(const Slot&) const = default;
};
using Placement = std::vector<Slot>;

// Where the first worker of a job may listen. Jobs that run at the same time on one node have
// different ones, as long as their numbers are not 10,000 apart.
inline int32_t service_port(JobId job) { return 20'000 + job % 10'000; }

}  // namespace hearth::forge
