#include "serve/tuning/hyperparameters.h"

#include <algorithm>

#include "io/json.h"
#include "serve/fields.h"
#include "serve/tuning/tuning_store.h"

namespace hearth::serve {
namespace {

using io::Json;

constexpr double kSupervisedRate = 5e-4;
constexpr double kPreferenceRate = 1e-4;
constexpr int64_t kBatchMax = 16;

struct Range {
  const char* name;
  double low, high;
  bool whole;
};
constexpr Range kRanges[] = {{"n_epochs", 0.01, 1000, false},
                             {"batch_size", 1, 4096, true},
                             {"learning_rate_multiplier", 1e-6, 1e4, false},
                             {"beta", 1e-6, 100, false},
                             {"lora_rank", 1, 256, true}};

bool is_auto(const Json& value) { return value.is_string() && value == "auto"; }

}  // namespace

double Hyperparameters::learning_rate(const std::string& method) const {
  return learning_rate_multiplier * (method == "dpo" ? kPreferenceRate : kSupervisedRate);
}

std::string read_hyperparameters(const Json& asked, const std::string& path,
                                 const std::string& method) {
  const Fields fields(asked, path);
  Json out = Json::object();
  for (const Range& range : kRanges) {
    const std::string name = range.name;
    if (name == "beta" && method != "dpo") continue;
    const Json* value = fields.find(range.name);
    if (value == nullptr || is_auto(*value)) {
      out[name] = "auto";
    } else if (range.whole) {
      out[name] = *fields.integer(range.name, static_cast<int64_t>(range.low),
                                  static_cast<int64_t>(range.high));
    } else {
      out[name] = *fields.number(range.name, range.low, range.high);
    }
  }
  return io::dump_json(out);
}

Hyperparameters settle(const TuningJob& job) {
  const Json kept = io::parse_json(job.hyperparameters, "hyperparameters");
  Hyperparameters out;
  const auto number = [&](const char* name, double silent) {
    const auto found = kept.find(name);
    return found != kept.end() && found->is_number() ? found->get<double>() : silent;
  };
  // Small data needs many updates more than it needs steady ones.
  const auto by_size = static_cast<double>(std::clamp<int64_t>(job.examples / 16, 1, kBatchMax));
  out.epochs = number("n_epochs", out.epochs);
  out.batch_size = static_cast<int64_t>(number("batch_size", by_size));
  out.learning_rate_multiplier = number("learning_rate_multiplier", out.learning_rate_multiplier);
  out.beta = number("beta", out.beta);
  out.lora_rank = static_cast<int64_t>(number("lora_rank", static_cast<double>(out.lora_rank)));
  return out;
}

Json to_json(const Hyperparameters& chosen, const std::string& method) {
  Json out = {{"n_epochs", chosen.epochs},
              {"batch_size", chosen.batch_size},
              {"learning_rate_multiplier", chosen.learning_rate_multiplier},
              {"lora_rank", chosen.lora_rank}};
  // Whole numbers look like what was asked for.
  if (chosen.epochs == static_cast<double>(static_cast<int64_t>(chosen.epochs))) {
    out["n_epochs"] = static_cast<int64_t>(chosen.epochs);
  }
  if (method == "dpo") out["beta"] = chosen.beta;
  return out;
}

}  // namespace hearth::serve
