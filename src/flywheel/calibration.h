// What `hearth calibrate` measured, as it is kept: one JSON file in the data directory for each
// model, machine and number of threads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/cost_model.h"
#include "flywheel/cost_fit.h"
#include "io/json_fwd.h"

namespace hearth::flywheel {

// Whose costs they are.
struct CalibrationKey {
  std::string model_hash;
  std::string machine;  // processor and instruction set, in words
  int32_t threads = 0;
};

struct Calibration {
  CalibrationKey key;
  std::string model;  // its name, for people
  int64_t created_s = 0;
  Nanos step_time = 0;    // the target
  int32_t sequences = 0;  // that can generate at once
  engine::CostModel costs;
  FitError held_out;  // on steps that were not fitted
  int32_t samples = 0;

  engine::TokenPrices prices() const { return prices_of(costs, step_time, sequences); }
  engine::Cost capacity() const { return capacity_per_minute(costs, step_time); }
};

io::Json to_json(const Calibration& calibration);
// Throws Error{kInvalidArgument} naming `where` and the field.
Calibration calibration_of(const io::Json& json, const std::string& where);

// The file that belongs to a key.
std::string calibration_path(const std::string& data_dir, const CalibrationKey& key);
void save_calibration(const std::string& data_dir, const Calibration& calibration);
Calibration load_calibration(const std::string& path);
// Nothing where it was not measured. A damaged file is an error that names it.
std::optional<Calibration> find_calibration(const std::string& data_dir, const CalibrationKey& key);

}  // namespace hearth::flywheel
