// Which stored calibration belongs to a model in this process, on this machine.
#pragma once

#include "apps/local_model.h"
#include "flywheel/calibration.h"

namespace hearth::apps {

// What the time of steps depends on: the model's shape and formats, processor, threads.
flywheel::CalibrationKey calibration_key(const models::ModelInfo& info,
                                         const runner::CpuRunnerOptions& options, int threads);
// Sequences that can generate at once, each with a text of usual length.
int32_t sequences_at_once(const engine::EngineConfig& engine);
// Gives the engine the costs and prices that were stored for it, if any were. One that cannot be
// read is left alone, with a warning.
void use_calibration(const std::string& data_dir, const flywheel::CalibrationKey& key,
                     engine::EngineConfig& engine);

}  // namespace hearth::apps
