#include "apps/calibrations.h"

#include <algorithm>
#include <fstream>

#include "base/error.h"
#include "base/log.h"
#include "io/checksum.h"

namespace hearth::apps {
namespace {

constexpr int64_t kUsualText = 1500;  // tokens

std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const size_t colon = line.find(':');
    if (line.starts_with("model name") && colon != std::string::npos) {
      return line.substr(std::min(colon + 2, line.size()));
    }
  }
  return "a processor";
}

}  // namespace

flywheel::CalibrationKey calibration_key(const models::ModelInfo& info,
                                         const runner::CpuRunnerOptions& options, int threads) {
  const std::string shape = fmt::format(
      "{} {} {} {} {} {} {} {} {} {} {}", info.architecture, info.layers, info.hidden,
      info.intermediate, info.heads, info.head_dim, info.kv_heads, info.vocabulary, info.stored,
      models::to_string(info.quantize), static_cast<int>(runner::kv_dtype(options, info)));
  const uint64_t hash = io::checksum(std::as_bytes(std::span(shape)));
  const char* isa = backend::cpu::to_string(backend::cpu::detect_isa());
  return {fmt::format("{:016x}", hash), fmt::format("{}, {}", processor_name(), isa), threads};
}

int32_t sequences_at_once(const engine::EngineConfig& engine) {
  const int64_t length = std::min<int64_t>(kUsualText, engine.max_model_len);
  const int64_t fitting = int64_t{engine.num_blocks} * engine::kBlockTokens / length;
  return static_cast<int32_t>(std::clamp<int64_t>(fitting, 1, engine.max_num_seqs));
}

void use_calibration(const std::string& data_dir, const flywheel::CalibrationKey& key,
                     engine::EngineConfig& engine) {
  if (engine.step_time_target == 0) return;
  try {
    const auto stored = flywheel::find_calibration(data_dir, key);
    if (!stored) return;
    engine.costs = stored->costs;
    engine.prices = prices_of(stored->costs, engine.step_time_target, sequences_at_once(engine));
  } catch (const Error& error) {
    log::warn("calibration not used file={} error=\"{}\"", error.where, error.text);
  }
}

}  // namespace hearth::apps
