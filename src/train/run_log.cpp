#include "train/run_log.h"

#include <algorithm>

#include "io/json.h"

namespace hearth::train {

RunCurves parse_run_log(std::string_view text, const std::string& name) {
  RunCurves run;
  run.name = name;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const io::Json json = io::Json::parse(text.substr(0, end), nullptr, false);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!json.is_object()) continue;
    const double step = json.value("step", 0.0);
    const auto add = [&](const char* key, Curve& curve) {
      const auto it = json.find(key);
      if (it != json.end() && it->is_number()) curve.push_back({step, it->get<double>()});
    };
    add("loss", run.loss);
    add("validation_loss", run.validation);
    add("grad_norm", run.grad_norm);
  }
  return run;
}

}  // namespace hearth::train
