// hearth sim forge: traces on the real scheduler in virtual time, or random histories of it.
#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include "apps/commands.h"
#include "apps/forge_files.h"
#include "base/error.h"
#include "sim/forge_histories.h"
#include "sim/forge_packing.h"
#include "sim/forge_traces.h"

namespace hearth::apps {
namespace {

namespace fs = std::filesystem;

struct SimForge {
  std::vector<std::string> traces;
  std::string profiles;
  int32_t pack = 0;
  bool one_node = false;
  std::string cluster = "auto";
  std::string policy = "all";
  int32_t days = 14;
  int32_t round_s = -1;
  std::string plot;
  std::string json;
  uint64_t seed = 1;
  int64_t histories = 0;
};

std::string text_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw_error(ErrorCode::kIo, path.string(), "cannot be read");
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

void write_text(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  if (!(out << text)) throw_error(ErrorCode::kIo, path, "cannot be written");
}

std::map<std::string, std::string> read_profiles(const std::string& folder) {
  if (folder.empty()) {
    throw_error(ErrorCode::kInvalidArgument, "--profiles",
                "a Sia workload needs the folder of its profiles");
  }
  std::map<std::string, std::string> out;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".csv") continue;
    out[fs::relative(entry.path(), folder).generic_string()] = text_of(entry.path());
  }
  return out;
}

// What --cluster names is a word of the Philly list's, or a file.
bool is_word(const std::string& cluster) {
  return cluster == "auto" || cluster == "pooled" || cluster == "static";
}

forge::FleetSpec read_fleet(const std::string& path) {
  if (!path.ends_with(".csv")) return load_simulated_fleet(path);
  return sim::alibaba_fleet(text_of(path));
}

sim::ForgeTrace read_jobs(const std::string& path, const SimForge& options) {
  const std::string text = text_of(path);
  if (text.starts_with("name,cpu_milli,memory_mib,num_gpu")) {
    if (!options.cluster.ends_with(".csv")) {
      throw_error(ErrorCode::kInvalidArgument, "--cluster",
                  "pods need the list of their nodes, openb_node_list_gpu_node.csv");
    }
    return sim::alibaba_trace(text, read_fleet(options.cluster));
  }
  if (path.ends_with(".trace")) {
    if (options.profiles.empty()) {
      throw_error(ErrorCode::kInvalidArgument, "--profiles",
                  "a trace of Gavel's needs its simulation_throughputs.json");
    }
    return sim::gavel_trace(text, text_of(options.profiles));
  }
  if (text.starts_with("name,time,application"))
    return sim::sia_trace(text, read_profiles(options.profiles));
  if (text.starts_with("timestamp,duration,num_gpus")) {
    const bool apart = options.cluster == "static";
    return sim::philly_trace(text, apart ? sim::Sharing::kStatic : sim::Sharing::kPooled,
                             options.days);
  }
  throw_error(ErrorCode::kUnsupported, path,
              "expected a Sia workload, the Philly list or Alibaba's pods, by their headers, or a "
              ".trace of Gavel's");
}

// Whoever fits on one node asks for one.
void keep_together(sim::ForgeTrace& trace) {
  int32_t largest = 0;
  for (const forge::Node& node : trace.fleet.nodes) largest = std::max(largest, node.devices);
  for (sim::ReplayJob& job : trace.jobs) {
    if (job.spec.max_workers <= largest) job.spec.locality = forge::Locality::kNode;
  }
}

sim::ForgeTrace read_trace(const std::string& path, const SimForge& options) {
  sim::ForgeTrace trace = read_jobs(path, options);
  if (!is_word(options.cluster) && !options.cluster.ends_with(".csv"))
    trace = sim::on_fleet(trace, read_fleet(options.cluster));
  if (options.one_node) keep_together(trace);
  return trace;
}

std::string json_of(const std::string& trace, const sim::ReplayReport& r) {
  return fmt::format(
      "{{\"trace\":\"{}\",\"policy\":\"{}\",\"jobs\":{},\"ended\":{},\"busy\":{:.4f},\"busy_in_"
      "backlog\":"
      "{:.4f},\"backlog_hours\":{:.2f},\"mean_hours\":{:.4f},\"p99_hours\":{:.4f},\"mean_wait_"
      "hours\":"
      "{:.4f},\"makespan_hours\":{:.3f},\"service_met\":{:.4f},\"restarts\":{:.3f},"
      "\"lost_device_hours\":{:.2f},\"energy_kwh\":{:.1f},\"carbon_kg\":{:.1f}}}\n",
      fs::path(trace).filename().string(), r.policy, r.jobs, r.ended, r.busy, r.busy_in_backlog,
      r.backlog_hours, r.mean_hours, r.p99_hours, r.mean_wait_hours, r.makespan_hours,
      r.service_met, r.restarts, r.lost_device_hours, r.energy_kwh, r.carbon_kg);
}

void print_row(const std::string& trace, const sim::ReplayReport& r) {
  fmt::print(
      "{:<16} {:<9} {:>6}/{:<6} {:>5.1f} % {:>5.1f} % {:>8.3f} {:>8.2f} {:>8.3f} {:>8.1f} {:>5.1f} "
      "% {:>6.2f} {:>8.1f} {:>9.1f} {:>8.1f}\n",
      fs::path(trace).filename().string(), r.policy, r.ended, r.jobs, r.busy * 100,
      r.busy_in_backlog * 100, r.mean_hours, r.p99_hours, r.mean_wait_hours, r.makespan_hours,
      r.service_met * 100, r.restarts, r.lost_device_hours, r.energy_kwh, r.carbon_kg);
  std::fflush(stdout);
}

void run_traces(const SimForge& options) {
  fmt::print(
      "{:<16} {:<9} {:>13} {:>7} {:>7} {:>8} {:>8} {:>8} {:>8} {:>7} {:>6} {:>8} {:>9} {:>8}\n",
      "trace", "policy", "ended/jobs", "busy", "backlog", "mean h", "p99 h", "wait h", "span h",
      "level", "moves", "lost d·h", "kWh", "kg CO2");
  std::string json;
  for (const forge::Policy& listed : forge::policies()) {
    if (options.policy != "all" && options.policy != listed.name) continue;
    forge::Policy policy = listed;
    if (options.round_s >= 0) policy.round_ms = options.round_s * 1000;
    double mean = 0;
    for (const std::string& path : options.traces) {
      const sim::ForgeTrace trace = read_trace(path, options);
      const sim::ReplayReport report = sim::replay_forge(trace.fleet, trace.jobs, policy);
      print_row(path, report);
      json += json_of(path, report);
      mean += report.mean_hours / static_cast<double>(options.traces.size());
      int32_t devices = 0;
      for (const forge::Node& node : trace.fleet.nodes) devices += node.devices;
      if (!options.plot.empty()) write_text(options.plot, sim::to_svg(report, devices));
    }
    if (options.traces.size() > 1)
      fmt::print("{:<16} {:<9} mean of the means {:.3f} h\n", "", policy.name, mean);
  }
  if (!options.json.empty()) write_text(options.json, json);
}

// Each list of pods on its nodes, drawn at random until more is asked for than there is.
void run_packing(const SimForge& options) {
  constexpr std::array kMarks = {0.8, 0.9, 0.95, 1.0, 1.1, 1.3};
  fmt::print("{:<32} {:<9} {:>7} {:>10} {:>10}\n", "trace", "placed by", "asked", "allocated",
             "stranded");
  std::string json;
  for (const std::string& path : options.traces) {
    const sim::ForgeTrace trace = read_trace(path, options);
    const std::string name = fs::path(path).filename().string();
    for (const auto& [placer, called] : {std::pair(sim::Placer::kHearth, "hearth"),
                                         std::pair(sim::Placer::kBestFit, "best-fit")}) {
      std::vector<sim::PackingPoint> mean(kMarks.size());
      for (int32_t run = 0; run < options.pack; ++run) {
        const std::vector<sim::PackingPoint> points = sim::pack_forge(
            trace.fleet, trace.jobs, placer, kMarks, options.seed + static_cast<uint64_t>(run));
        for (size_t i = 0; i < mean.size(); ++i) {
          mean[i].asked += points[i].asked / options.pack;
          mean[i].allocated += points[i].allocated / options.pack;
          mean[i].stranded += points[i].stranded / options.pack;
        }
      }
      for (const sim::PackingPoint& point : mean) {
        fmt::print("{:<32} {:<9} {:>5.0f} % {:>8.2f} % {:>8.2f} %\n", name, called,
                   point.asked * 100, point.allocated * 100, point.stranded * 100);
        json += fmt::format(
            "{{\"trace\":\"{}\",\"placer\":\"{}\",\"runs\":{},\"asked\":{:.4f},"
            "\"allocated\":{:.5f},\"stranded\":{:.5f}}}\n",
            name, called, options.pack, point.asked, point.allocated, point.stranded);
      }
    }
  }
  if (!options.json.empty()) write_text(options.json, json);
}

void run_sim_forge(const SimForge& options) {
  if (options.policy != "all") forge::policy_named(options.policy);
  if (!options.traces.empty() && options.pack > 0) return run_packing(options);
  if (!options.traces.empty()) return run_traces(options);
  if (options.histories == 0) {
    throw_error(ErrorCode::kInvalidArgument, "sim forge", "give --trace FILE or --histories N");
  }
  const sim::ForgeHistoryReport report =
      sim::run_forge_histories({.seed = options.seed}, options.histories);
  fmt::print(
      "{} histories from seed {}: {} events, {} jobs, {} starts, {} preemptions, {} nodes lost, "
      "{} agents killed, {} restarts of the server, {} servers deposed\n",
      options.histories, options.seed, report.events, report.jobs, report.starts,
      report.preemptions, report.nodes_lost, report.agents_lost, report.restarts, report.deposed);
  if (!report.ok()) throw_error(ErrorCode::kInternal, "sim forge", "{}", report.failure);
  fmt::print("every law held\n");
}

}  // namespace

void add_sim_forge(CLI::App& sim) {
  CLI::App* command = sim.add_subcommand(
      "forge", "Traces on the real fleet scheduler, or random histories with its laws checked");
  auto options = std::make_shared<SimForge>();
  command->add_option("--trace", options->traces,
                      "Sia workloads, the Philly list, Gavel's .trace files, or Alibaba's pods");
  command->add_option("--profiles", options->profiles,
                      "Folder of Sia's profiles, or Gavel's simulation_throughputs.json");
  command
      ->add_option("--cluster", options->cluster,
                   "A fleet.toml with [[node]] entries, or Alibaba's list of nodes; for the Philly "
                   "list also pooled or static: its virtual clusters")
      ->capture_default_str();
  command
      ->add_option("--pack", options->pack,
                   "So many times: place jobs until more is asked for than there is, against "
                   "best-fit; nothing runs")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str();
  command->add_flag("--one-node", options->one_node, "Jobs that fit on one node ask for one");
  command->add_option("--policy", options->policy, "A policy, or all")->capture_default_str();
  command->add_option("--days", options->days, "Days of the Philly list")->capture_default_str();
  command->add_option("--round", options->round_s, "Seconds between plans; -1: the policy's own")
      ->capture_default_str();
  command->add_option("--plot", options->plot,
                      "SVG of the last replay: devices in use, jobs waiting");
  command->add_option("--json", options->json, "One JSON line a replay");
  command->add_option("--histories", options->histories, "Random histories instead of a trace");
  command->add_option("--seed", options->seed, "Seed of the first history")->capture_default_str();
  command->callback([options] { run_sim_forge(*options); });
}

}  // namespace hearth::apps
