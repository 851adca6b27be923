// hearth forge checkpoint-cost: what checkpoints of training would cost elsewhere.
#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <fmt/format.h>
#include <memory>
#include <vector>

#include "apps/forge.h"
#include "base/error.h"
#include "forge/checkpoint/cost_model.h"

namespace hearth::apps {
namespace {

struct CostFlags {
  std::vector<std::string> jobs{"7b:8", "70b:512", "405b:16384"};
  forge::CheckpointCostInput input;
  bool json = false;
};

// "70b" is 70e9; also m and t.
double parameters_of(const std::string& text, const std::string& job) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, failed] = std::from_chars(text.data(), end, value);
  const std::string unit(stopped, end);
  const double scale = unit == "t" ? 1e12 : unit == "b" ? 1e9 : unit == "m" ? 1e6 : 0;
  if (failed != std::errc() || scale == 0) {
    throw_error(ErrorCode::kInvalidArgument, "JOB",
                "expected PARAMETERS:GPUS as 70b:512, found '{}'", job);
  }
  return value * scale;
}

forge::CheckpointCostInput input_of(const std::string& job, forge::CheckpointCostInput input) {
  const size_t colon = std::min(job.find(':'), job.size());
  input.parameters = parameters_of(job.substr(0, colon), job);
  const std::string gpus = job.substr(std::min(colon + 1, job.size()));
  const auto [end, failed] = std::from_chars(gpus.data(), gpus.data() + gpus.size(), input.gpus);
  if (failed != std::errc() || end != gpus.data() + gpus.size()) {
    throw_error(ErrorCode::kInvalidArgument, "JOB",
                "expected PARAMETERS:GPUS as 70b:512, found '{}'", job);
  }
  return input;
}

void print_row(const std::string& job, const forge::CheckpointCost& c) {
  fmt::print(
      "{:<12} {:>9.1f} {:>8.2f} {:>8.1f} {:>10.0f} {:>8.3f} % {:>10.1f} {:>8.0f} {:>8.3f} % "
      "{:>8.0f} {:>8.3f} %\n",
      job, c.state_bytes / 1e9, c.stall_s, c.write_s, c.interval_s, c.steady_percent,
      c.failure_every_hours, c.lost_s, c.lost_percent, c.best_interval_s, c.best_percent);
}

void print_json(const std::string& job, const forge::CheckpointCost& c) {
  fmt::print(
      "{{\"job\":\"{}\",\"state_gb\":{:.3f},\"stall_s\":{:.4f},\"write_s\":{:.3f},"
      "\"interval_s\":{:.3f},\"steady_percent\":{:.5f},\"failure_every_hours\":{:.3f},"
      "\"lost_s\":{:.2f},\"lost_percent\":{:.5f},\"best_interval_s\":{:.2f},"
      "\"best_percent\":{:.5f}}}\n",
      job, c.state_bytes / 1e9, c.stall_s, c.write_s, c.interval_s, c.steady_percent,
      c.failure_every_hours, c.lost_s, c.lost_percent, c.best_interval_s, c.best_percent);
}

void run_cost(const CostFlags& flags) {
  std::vector<forge::CheckpointCost> costs;  // of all, before anything is said
  for (const std::string& job : flags.jobs)
    costs.push_back(forge::checkpoint_cost(input_of(job, flags.input)));
  if (!flags.json) {
    fmt::print("{:<12} {:>9} {:>8} {:>8} {:>10} {:>10} {:>10} {:>8} {:>10} {:>8} {:>10}\n", "job",
               "state GB", "stall s", "write s", "interval s", "steady", "fails / h", "lost s",
               "lost", "best s", "both, best");
  }
  for (size_t i = 0; i < costs.size(); ++i)
    flags.json ? print_json(flags.jobs[i], costs[i]) : print_row(flags.jobs[i], costs[i]);
}

constexpr const char* kCostExplained =
    "stall: the copy to the node's memory, for which steps stand still. write: cut, hash, pack "
    "and\n"
    "write, beside the steps. steady: what both take of the time when nothing fails. fails / h:\n"
    "hours between two failures of the job. lost: half an interval, an unfinished checkpoint, the\n"
    "way back; as seconds a failure and as part of the time. best: the interval that makes the "
    "sum\n"
    "least. Nothing here was measured on GPUs: it is arithmetic over the flags "
    "(docs/checkpoints.md\n"
    "says where their defaults are from).";

}  // namespace

void add_forge_cost(CLI::App& forge) {
  CLI::App* cost = forge.add_subcommand(
      "checkpoint-cost", "What checkpoints of training would cost on given GPUs and storage");
  auto flags = std::make_shared<CostFlags>();
  forge::CheckpointCostInput& in = flags->input;
  cost->add_option("JOB", flags->jobs, "PARAMETERS:GPUS, as 70b:512; several may be given")
      ->capture_default_str();
  const auto number = [&](const char* name, double& value, const char* about) {
    cost->add_option(name, value, about)->capture_default_str();
  };
  cost->add_option("--gpus-per-node", in.gpus_per_node, "GPUs of a node")->capture_default_str();
  number("--state-bytes", in.state_bytes, "Bytes of state a parameter that a checkpoint holds");
  number("--copy-gb-s", in.copy_gb_s, "GB/s of one GPU to its node's memory");
  number("--pack-gb-s", in.pack_gb_s, "GB/s that one node cuts, hashes and packs");
  number("--stored-share", in.stored_share, "Part of the state that is left when it is packed");
  number("--node-gb-s", in.node_gb_s, "GB/s of one node to the storage");
  number("--storage-gb-s", in.storage_gb_s, "GB/s of the storage, all nodes together");
  number("--slowdown", in.slowdown, "Part by which steps are slower while one is written");
  number("--interval-s", in.interval_s, "Seconds between two checkpoints");
  number("--gpu-mtbf-hours", in.gpu_mtbf_hours, "Hours between two failures of one GPU");
  number("--restart-s", in.restart_s, "Seconds until a job that failed runs again");
  cost->add_flag("--json", flags->json, "One JSON line a job");
  cost->footer(kCostExplained);
  cost->callback([flags] { run_cost(*flags); });
}

}  // namespace hearth::apps
