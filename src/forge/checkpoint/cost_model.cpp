#include "forge/checkpoint/cost_model.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace hearth::forge {
namespace {

constexpr double kGigabyte = 1e9;
constexpr double kSecondsPerHour = 3600;

void expect_positive(double value, const char* field) {
  if (!(value > 0) || !std::isfinite(value))
    throw_error(ErrorCode::kInvalidArgument, field, "expected more than 0, found {}", value);
}

void check(const CheckpointCostInput& in) {
  expect_positive(in.parameters, "parameters");
  expect_positive(in.gpus, "gpus");
  expect_positive(in.gpus_per_node, "gpus_per_node");
  expect_positive(in.state_bytes, "state_bytes");
  expect_positive(in.copy_gb_s, "copy_gb_s");
  expect_positive(in.pack_gb_s, "pack_gb_s");
  expect_positive(in.stored_share, "stored_share");
  expect_positive(in.node_gb_s, "node_gb_s");
  expect_positive(in.storage_gb_s, "storage_gb_s");
  expect_positive(in.interval_s, "interval_s");
  expect_positive(in.gpu_mtbf_hours, "gpu_mtbf_hours");
  if (in.slowdown < 0 || in.slowdown > 1)
    throw_error(ErrorCode::kInvalidArgument, "slowdown", "expected 0 to 1, found {}", in.slowdown);
  if (in.restart_s < 0)
    throw_error(ErrorCode::kInvalidArgument, "restart_s", "expected 0 or more, found {}",
                in.restart_s);
}

}  // namespace

CheckpointCost checkpoint_cost(const CheckpointCostInput& in) {
  check(in);
  CheckpointCost out;
  const double nodes = std::ceil(static_cast<double>(in.gpus) / in.gpus_per_node);
  out.state_bytes = in.parameters * in.state_bytes;
  out.stall_s = out.state_bytes / (in.gpus * in.copy_gb_s * kGigabyte);
  const double pack_s = out.state_bytes / (nodes * in.pack_gb_s * kGigabyte);
  const double way = std::min(nodes * in.node_gb_s, in.storage_gb_s) * kGigabyte;
  const double disk_s = out.state_bytes * in.stored_share / way;
  // Packing and writing go on beside each other.
  out.write_s = std::max(pack_s, disk_s);
  out.read_s = disk_s;
  out.interval_s = std::max(in.interval_s, out.write_s);
  const double taken_s = out.stall_s + in.slowdown * out.write_s;
  const double job_mtbf_s = in.gpu_mtbf_hours * kSecondsPerHour / in.gpus;
  // On the average half an interval, and the time in which the newest was not yet whole.
  const auto lost = [&](double interval_s) {
    return interval_s / 2 + out.write_s + out.read_s + in.restart_s;
  };
  const auto percent = [&](double interval_s) {
    return 100 * (taken_s / interval_s + lost(interval_s) / job_mtbf_s);
  };
  out.steady_percent = 100 * taken_s / out.interval_s;
  out.failure_every_hours = job_mtbf_s / kSecondsPerHour;
  out.lost_s = lost(out.interval_s);
  out.lost_percent = 100 * out.lost_s / job_mtbf_s;
  // Where the derivative of that sum is nothing.
  out.best_interval_s = std::max(std::sqrt(2 * taken_s * job_mtbf_s), out.write_s);
  out.best_percent = percent(out.best_interval_s);
  return out;
}

}  // namespace hearth::forge
