#include "flywheel/calibration.h"

#include <filesystem>
#include <fmt/format.h>

#include "base/error.h"
#include "io/file.h"
#include "io/json.h"

namespace hearth::flywheel {
namespace {

using engine::CostModel;
using io::Json;

constexpr int kVersion = 1;

// In the order of the file.
constexpr std::pair<const char*, int64_t CostModel::*> kCosts[] = {
    {"step_ps", &CostModel::step_ps},
    {"prompt_token_ps", &CostModel::prompt_token_ps},
    {"prompt_context_ps", &CostModel::prompt_context_ps},
    {"sequence_ps", &CostModel::sequence_ps},
    {"context_ps", &CostModel::context_ps},
    {"adapter_ps", &CostModel::adapter_ps},
    {"adapter_row_ps", &CostModel::adapter_row_ps},
};

uint64_t fnv(const std::string& text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

void check(const Calibration& calibration, const std::string& where) {
  const auto require = [&](bool holds, const char* field, const char* expected) {
    if (holds) return;
    throw_error(ErrorCode::kInvalidArgument, where,
                "field '{}' must be {}; measure again with hearth calibrate", field, expected);
  };
  require(calibration.step_time > 0, "step_ms", "positive");
  require(calibration.sequences > 0, "sequences", "positive");
  require(calibration.costs.known(), "costs.prompt_token_ps", "positive");
  for (const auto& [name, field] : kCosts) {
    require(calibration.costs.*field >= 0, name, "0 or more");
  }
}

}  // namespace

Json to_json(const Calibration& calibration) {
  Json costs;
  for (const auto& [name, field] : kCosts) costs[name] = calibration.costs.*field;
  return {{"version", kVersion},
          {"model", calibration.model},
          {"model_hash", calibration.key.model_hash},
          {"machine", calibration.key.machine},
          {"threads", calibration.key.threads},
          {"created", calibration.created_s},
          {"step_ms", calibration.step_time / kMillisecond},
          {"sequences", calibration.sequences},
          {"costs", std::move(costs)},
          {"samples", calibration.samples},
          {"held_out_error",
           {{"mean", calibration.held_out.mean},
            {"p95", calibration.held_out.p95},
            {"largest", calibration.held_out.largest}}}};
}

Calibration calibration_of(const Json& json, const std::string& where) {
  if (!json.is_object() || io::json_get<int>(json, "version", 0, where) != kVersion) {
    throw_error(ErrorCode::kInvalidArgument, where,
                "expected a calibration of version {}; measure again with hearth calibrate",
                kVersion);
  }
  Calibration calibration;
  calibration.key.model_hash = io::json_require<std::string>(json, "model_hash", where);
  calibration.key.machine = io::json_require<std::string>(json, "machine", where);
  calibration.key.threads = io::json_require<int32_t>(json, "threads", where);
  calibration.model = io::json_require<std::string>(json, "model", where);
  calibration.created_s = io::json_get<int64_t>(json, "created", 0, where);
  calibration.step_time = io::json_require<int64_t>(json, "step_ms", where) * kMillisecond;
  calibration.sequences = io::json_require<int32_t>(json, "sequences", where);
  calibration.samples = io::json_get<int32_t>(json, "samples", 0, where);
  const Json costs = io::json_require<Json>(json, "costs", where);
  for (const auto& [name, field] : kCosts) {
    calibration.costs.*field = io::json_require<int64_t>(costs, name, where + ": costs");
  }
  const Json error = io::json_get<Json>(json, "held_out_error", Json::object(), where);
  calibration.held_out = {io::json_get<double>(error, "mean", 0, where),
                          io::json_get<double>(error, "p95", 0, where),
                          io::json_get<double>(error, "largest", 0, where)};
  check(calibration, where);
  return calibration;
}

std::string calibration_path(const std::string& data_dir, const CalibrationKey& key) {
  const std::string all = fmt::format("{}\n{}\n{}", key.model_hash, key.machine, key.threads);
  return fmt::format("{}/calibrations/{:016x}.json", data_dir, fnv(all));
}

void save_calibration(const std::string& data_dir, const Calibration& calibration) {
  std::filesystem::create_directories(data_dir + "/calibrations");
  io::write_file_atomic(calibration_path(data_dir, calibration.key),
                        to_json(calibration).dump(2) + "\n");
}

Calibration load_calibration(const std::string& path) {
  return calibration_of(io::load_json(path), path);
}

std::optional<Calibration> find_calibration(const std::string& data_dir,
                                            const CalibrationKey& key) {
  const std::string path = calibration_path(data_dir, key);
  if (!std::filesystem::exists(path)) return std::nullopt;
  return load_calibration(path);
}

}  // namespace hearth::flywheel
