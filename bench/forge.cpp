// How fast is Forge? The real scheduler and the real store; agents that answer at once.
//
//   ./dev bench forge [DIR]           DIR: where the database goes (default /tmp); fsync counts
//   ./dev bench forge etcd URL[,URL]  what the store has a part in, with this etcd instead
//
// One JSON line a question: placement at 100,000 devices, durable decisions a second, a plan of
// everything with 10,000 jobs, a start with 100,000 jobs.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fmt/format.h>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "forge/client/leader_client.h"
#include "forge/etcd/etcd_store.h"
#include "forge/server/control.h"
#include "forge/server/sqlite_store.h"

namespace hearth::forge {
namespace {

constexpr int32_t kNodes = 12'500, kDevicesANode = 8;
constexpr int32_t kStoreNodes = 500;

FleetSpec big_fleet(int32_t nodes) {
  FleetSpec fleet;
  fleet.kinds = {{"a100", 80, 400}, {"h100", 80, 700}};
  fleet.regions = {{"north", 40}, {"south", 300}, {"west", 200}};
  for (int32_t c = 0; c < 25; ++c) fleet.clusters.push_back({fmt::format("c{}", c), c % 3});
  for (int32_t n = 0; n < nodes; ++n)
    fleet.nodes.push_back({fmt::format("n{}", n), n % 25, (n / 25) % 2, kDevicesANode});
  for (int32_t v = 0; v < 20; ++v)
    fleet.virtual_clusters.push_back({fmt::format("team{}", v), -1, nodes * kDevicesANode / 20});
  return fleet;
}

// Sizes as in the Philly list: mostly one device, some eights, few more.
JobSpec some_job(Random& random) {
  JobSpec job;
  const double size = random.uniform();
  job.min_workers = size < 0.55 ? 1 : size < 0.7 ? 2 : size < 0.82 ? 4 : size < 0.97 ? 8 : 32;
  job.max_workers = job.min_workers;
  job.vc = static_cast<VcId>(random.below(20));
  job.tier = static_cast<Tier>(random.below(3));
  if (random.chance(0.2)) job.regions = {static_cast<RegionId>(random.below(3))};
  if (random.chance(0.3)) job.kinds = {static_cast<KindId>(random.below(2))};
  if (job.min_workers <= 8 && random.chance(0.5)) job.locality = Locality::kNode;
  return job;
}

std::vector<Event> answers(const std::vector<Command>& commands) {
  std::vector<Event> out;
  for (const Command& command : commands) {
    if (const auto* start = std::get_if<Start>(&command)) {
      out.emplace_back(Started{start->node, start->incarnation, start->job, start->epoch});
    } else if (const auto* stop = std::get_if<Stop>(&command)) {
      out.emplace_back(
          Ended{stop->node, stop->incarnation, stop->job, stop->epoch, Outcome::kSaved});
    }
  }
  return out;
}

std::vector<Event> ends_of(const Job& job) {
  std::vector<Event> out;
  for (const auto& [node, part] : job.parts)
    out.emplace_back(Ended{node, 1, job.id, job.epoch, Outcome::kSucceeded});
  return out;
}

double at(std::vector<double>& values, double part) {
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1,
                         static_cast<size_t>(part * static_cast<double>(values.size())))];
}

double ms_of(const Clock& clock, const std::function<void()>& work) {
  const Nanos begun = clock.now();
  work();
  return static_cast<double>(clock.now() - begun) / kMillisecond;
}

// What this thread computed, whatever else the machine does.
double cpu_ms_of(const std::function<void()>& work) {
  const auto now = [] {
    timespec at{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
    return static_cast<double>(at.tv_sec) * 1e3 + static_cast<double>(at.tv_nsec) / 1e6;
  };
  const double begun = now();
  work();
  return now() - begun;
}

double machine_load() {
  double minute = 0;
  getloadavg(&minute, 1);
  return minute;
}

// A fleet of 100,000 devices, nine tenths of it in use; jobs end and come.
void bench_placement(const Clock& clock, const char* what, double load, int32_t rounds) {
  Random random(1);
  Scheduler scheduler(big_fleet(kNodes), policy_named("hearth"));
  std::vector<Command> said;
  std::vector<Event> events;
  for (NodeId n = 0; n < kNodes; ++n) events.emplace_back(Joined{n, 1});
  scheduler.apply(0, events, said);
  const int64_t total = scheduler.planned().present_milli();
  const auto used = [&] {
    return 1 - static_cast<double>(scheduler.planned().free_milli()) / static_cast<double>(total);
  };
  Millis now = 1'000;
  for (int batch = 0; used() < load && batch < 400; ++batch) {
    said.clear(), events.clear();
    for (int i = 0; i < 500; ++i) events.emplace_back(Submit{some_job(random)});
    scheduler.apply(++now, events, said);
    events = answers(said), said.clear();
    scheduler.apply(++now, events, said);
  }
  now += 3'600'000;
  std::vector<double> place_ms, end_ms, place_cpu_ms, end_cpu_ms;
  for (int32_t i = 0; i < rounds; ++i) {
    std::vector<JobId> running = scheduler.active();
    JobId done = -1;
    while (done < 0 || scheduler.job(done).state != JobState::kRunning)
      done = running[random.below(running.size())];
    events = ends_of(scheduler.job(done)), said.clear();
    end_ms.push_back(ms_of(clock, [&] {
      end_cpu_ms.push_back(cpu_ms_of([&] { scheduler.apply(++now, events, said); }));
    }));
    scheduler.apply(now, answers(said), said);
    said.clear();
    const Event submit = Submit{some_job(random)};
    place_ms.push_back(ms_of(clock, [&] {
      place_cpu_ms.push_back(cpu_ms_of([&] { scheduler.apply(++now, submit, said); }));
    }));
    const std::vector<Event> replies = answers(said);
    said.clear();
    scheduler.apply(now, replies, said);
  }
  size_t waiting = 0;
  for (JobId id : scheduler.active()) waiting += scheduler.job(id).target.empty();
  fmt::print(
      "{{\"bench\":\"{}\",\"devices\":{},\"used\":{:.3f},\"active_jobs\":{},\"waiting\":{},"
      "\"place_p50_ms\":{:.3f},\"place_p99_ms\":{:.3f},\"place_cpu_p99_ms\":{:.3f},"
      "\"end_p50_ms\":{:.3f},\"end_p99_ms\":{:.3f},\"end_cpu_p99_ms\":{:.3f},\"load\":{:.1f}}}\n",
      what, kNodes * kDevicesANode, used(), scheduler.active().size(), waiting, at(place_ms, 0.5),
      at(place_ms, 0.99), at(place_cpu_ms, 0.99), at(end_ms, 0.5), at(end_ms, 0.99),
      at(end_cpu_ms, 0.99), machine_load());
  std::fflush(stdout);
}

// 10,000 jobs, more than fit, all looked at again.
void bench_replan(const Clock& clock) {
  Random random(2);
  Scheduler scheduler(big_fleet(2'500), policy_named("hearth"));
  std::vector<Command> said;
  std::vector<Event> events;
  for (NodeId n = 0; n < 2'500; ++n) events.emplace_back(Joined{n, 1});
  for (int i = 0; i < 10'000; ++i) events.emplace_back(Submit{some_job(random)});
  const double first = ms_of(clock, [&] { scheduler.apply(1'000, events, said); });
  events = answers(said), said.clear();
  scheduler.apply(1'001, events, said);
  std::vector<double> all, cpu;
  for (int i = 0; i < 10; ++i) {
    const Event event = i % 2 == 0 ? Event(Drain{0}) : Event(Undrain{0});
    said.clear();
    all.push_back(ms_of(clock, [&] {
      cpu.push_back(cpu_ms_of([&] { scheduler.apply(4'000'000 + i, event, said); }));
    }));
    scheduler.apply(4'000'000 + i, answers(said), said);
  }
  size_t waiting = 0;
  for (JobId id : scheduler.active()) waiting += scheduler.job(id).target.empty();
  fmt::print(
      "{{\"bench\":\"replan\",\"jobs\":{},\"waiting\":{},\"first_plan_ms\":{:.1f},"
      "\"replan_p50_ms\":{:.1f},\"replan_max_ms\":{:.1f},\"replan_cpu_max_ms\":{:.1f},"
      "\"load\":{:.1f}}}\n",
      scheduler.active().size(), waiting, first, at(all, 0.5), at(all, 1), at(cpu, 1),
      machine_load());
  std::fflush(stdout);
}

std::unique_ptr<Control> start(Store& store) {
  FleetSpec lists = big_fleet(0);
  for (VirtualCluster& vc : lists.virtual_clusters) vc.guarantee = kStoreNodes * kDevicesANode / 20;
  return std::make_unique<Control>(store, lists, policy_named("hearth"), LeaseTerms{}, 1'000);
}

// Jobs through their whole life, `together` submissions a turn, everything forced to the disk.
void bench_durable(const Clock& clock, Store& store, const char* kept_in, int together, int jobs) {
  const std::unique_ptr<Control> control = start(store);
  Random random(3);
  Millis now = 1'000;
  std::vector<Command> said;
  const auto turn = [&](const std::vector<Event>& events) {
    std::vector<Request> requests;
    for (const Event& event : events) requests.push_back({event, {}});
    said.clear();
    control->turn(++now, std::move(requests), said);
  };
  std::vector<Event> events;
  const FleetSpec fleet = big_fleet(kStoreNodes);
  for (const Node& node : fleet.nodes) events.emplace_back(Enroll{node});
  turn(events);
  events.clear();
  for (NodeId n = 0; n < kStoreNodes; ++n) events.emplace_back(Joined{n, 1});
  turn(events);
  int64_t placed = 0;
  const double took = ms_of(clock, [&] {
    events.clear();
    for (int done = 0; done < jobs; done += together) {
      // What agents say of the last turn's jobs arrives with the next submissions.
      for (int i = 0; i < together; ++i) events.emplace_back(Submit{some_job(random)});
      turn(events);
      events = answers(said);
      std::vector<Event> ends;
      for (const Command& command : said) {
        const auto* begun = std::get_if<Start>(&command);
        if (!begun) continue;
        placed += begun->first_rank == 0;
        ends.emplace_back(
            Ended{begun->node, begun->incarnation, begun->job, begun->epoch, Outcome::kSucceeded});
      }
      events.insert(events.end(), ends.begin(), ends.end());
    }
  });
  fmt::print(
      "{{\"bench\":\"durable\",\"kept_in\":\"{}\",\"submitted_together\":{},\"jobs\":{},"
      "\"placed_per_second\":{:.0f},\"turn_ms\":{:.2f},\"load\":{:.1f}}}\n",
      kept_in, together, placed, static_cast<double>(placed) * 1'000 / took, took * together / jobs,
      machine_load());
  std::fflush(stdout);
}

// 100,000 jobs, 90,000 of them over, as a restart finds them.
void bench_start(const Clock& clock, const char* kept_in,
                 const std::function<std::unique_ptr<Store>()>& open) {
  {
    const std::unique_ptr<Store> store = open();
    const std::unique_ptr<Control> control = start(*store);
    Random random(4);
    std::vector<Command> said;
    std::vector<Request> requests;
    for (int i = 0; i < 100'000; ++i) {
      JobSpec spec = some_job(random);
      spec.name = fmt::format("job number {}", i);
      spec.program = std::make_shared<Program>(
          Program{.command = {"hearth", "train", "config.toml"}, .directory = "/home/somebody"});
      requests.push_back({Submit{spec}, {}});
    }
    control->turn(2'000, std::move(requests), said);
    requests.clear();
    for (JobId i = 0; i < 90'000; ++i) requests.push_back({Cancel{i}, {}});
    control->turn(3'000, std::move(requests), said);
  }
  std::vector<double> all;
  double first_turn = 0;
  for (int i = 0; i < 5; ++i) {
    all.push_back(ms_of(clock, [&] {
      const std::unique_ptr<Store> store = open();
      const std::unique_ptr<Control> control = start(*store);
      std::vector<Command> said;
      first_turn = ms_of(clock, [&] { control->turn(5'000, {}, said); });
    }));
  }
  fmt::print(
      "{{\"bench\":\"start\",\"kept_in\":\"{}\",\"jobs\":100000,\"waiting\":10000,"
      "\"start_p50_ms\":{:.0f},\"start_max_ms\":{:.0f},\"first_turn_ms\":{:.0f},\"load\":{:.1f}}}"
      "\n",
      kept_in, at(all, 0.5), at(all, 1), first_turn, machine_load());
  std::fflush(stdout);
}

void run(const std::string& folder) {
  const SystemClock clock;
  bench_placement(clock, "placement", 0.9, 1'000);
  bench_replan(clock);
  const std::string path = folder + "/hearth-bench-forge.db";
  const auto clear = [&] {
    for (const char* end : {"", "-wal", "-shm"}) std::filesystem::remove(path + end);
  };
  for (int together : {1, 16, 64, 256}) {
    clear();
    SqliteStore store(path);
    bench_durable(clock, store, "sqlite", together, together * 60);
  }
  clear();
  bench_start(clock, "sqlite", [&] { return std::make_unique<SqliteStore>(path); });
  clear();
}

void run_with_etcd(const std::string& urls) {
  const SystemClock clock;
  EtcdOptions options{.urls = server_list(urls), .lease_s = 600, .patience_ms = 30'000};
  std::unique_ptr<Leadership> leadership;
  const auto begin = [&](const std::string& what) {
    if (leadership) Etcd(options).transact({.removed = {""}});
    leadership.reset();
    options.prefix = fmt::format("/hearth-bench/{}/{}", clock.wall(), what);
    leadership = Leadership::take(options, "http://bench", clock);
  };
  for (int together : {1, 16, 64, 256}) {
    begin(std::to_string(together));
    EtcdStore store(*leadership, Etcd(options));
    bench_durable(clock, store, "etcd", together, together * 60);
  }
  begin("start");
  bench_start(clock, "etcd",
              [&] { return std::make_unique<EtcdStore>(*leadership, Etcd(options)); });
  Etcd(options).transact({.removed = {""}});
}

}  // namespace
}  // namespace hearth::forge

int main(int argc, char** argv) {
  if (argc > 2 && std::string(argv[1]) == "etcd") {
    hearth::forge::run_with_etcd(argv[2]);
  } else {
    hearth::forge::run(argc > 1 ? argv[1] : "/tmp");
  }
  return 0;
}
