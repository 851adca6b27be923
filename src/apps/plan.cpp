// hearth plan: what work would take. Here, plan train: memory and machines for fine-tuning, by
// formula, with the pieces shown.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "apps/commands.h"
#include "base/error.h"
#include "io/json.h"
#include "train/plan_table.h"

namespace hearth::apps {
namespace {

struct Plan {
  std::string model;
  double parameters = 0;
  std::string method = "both";
  int64_t rank = 8;
  std::vector<std::string> targets = {"q_proj", "k_proj", "v_proj", "o_proj"};
  std::string base = "bf16";
  std::string recipe = "mixed";
  std::string recompute = "none";
  int64_t tokens = 2048;
  double device_gb = 80;
  int64_t per_node = 8;
  int64_t devices = 0;
  bool json = false;
};

train::PlanModel find_plan_model(const Plan& options) {
  if (options.parameters > 0) {
    train::PlanModel model;
    model.name = options.model.empty() ? "a model" : options.model;
    model.stated_parameters = static_cast<int64_t>(options.parameters);
    return model;
  }
  if (auto known = train::known_plan_model(options.model)) return *known;
  const bool folder = std::filesystem::is_directory(options.model);
  const std::string path = folder ? options.model + "/config.json" : options.model;
  if (options.model.empty() || !std::filesystem::exists(path)) {
    throw_error(ErrorCode::kNotFound, options.model,
                "expected a folder with config.json, a config.json, --parameters, or one of {}",
                fmt::join(train::known_plan_models(), ", "));
  }
  return train::plan_model(io::load_json(path), options.model, path);
}

double base_bytes(const std::string& format) {
  if (format == "f32") return 4;
  if (format == "q8") return 1.0625;  // 8 bits, and 16 for each 32 of them
  return format == "q4" ? 0.5625 : 2;
}

train::PlanRequest request_of(const Plan& options, const train::PlanModel& model) {
  train::PlanRequest request;
  request.model = model;
  request.kept = options.recompute == "block" ? train::KeptActivations::kBlockInputs
                                              : train::KeptActivations::kAll;
  request.tokens = model.layers > 0 ? options.tokens : 0;
  if (options.recipe == "mixed") return request;
  const bool narrow = options.recipe == "hearth-bf16";
  request.bytes = narrow ? train::kHearthBf16 : train::kHearthF32;
  request.stream_bytes = 4;
  request.logit_rows = train::hearth_logit_rows(model.vocabulary);
  request.activation_bytes = narrow ? 2 : 4;
  return request;
}

std::vector<train::PlanColumn> columns_of(const Plan& options) {
  const train::PlanRequest full = request_of(options, find_plan_model(options));
  std::vector<train::PlanColumn> columns;
  if (options.method != "lora") columns.push_back({"full, AdamW", full});
  if (options.method == "full") return columns;
  if (full.model.layers == 0) {
    if (options.method == "both") return columns;
    throw_error(ErrorCode::kInvalidArgument, "--parameters",
                "the size of an adapter depends on the model's shape; name a config.json");
  }
  train::PlanRequest lora = full;
  lora.lora = train::LoraPlan{options.rank, options.targets, base_bytes(options.base), 2};
  columns.push_back({fmt::format("LoRA r={}, base {}", options.rank, options.base), lora});
  return columns;
}

void run(const Plan& options) {
  const std::vector<train::PlanColumn> columns = columns_of(options);
  const train::DeviceFleet fleet{options.device_gb * 1e9, options.per_node, options.devices};
  if (options.json) {
    std::printf("%s\n", train::plan_json(columns, fleet).dump(2).c_str());
  } else {
    std::fputs(train::plan_table(columns, fleet).c_str(), stdout);
  }
}

void add_flags(CLI::App& command, Plan& options) {
  command.add_option(
      "MODEL", options.model,
      "folder or config.json of a model, or a known name (gpt3-175b, llama2-7b ...)");
  command.add_option("--parameters", options.parameters,
                     "plan for so many, without a shape: 7.5e9");
  command.add_option("--method", options.method, "full, lora or both")
      ->check(CLI::IsMember({"full", "lora", "both"}))
      ->capture_default_str();
  command.add_option("--rank", options.rank, "of the adapter")
      ->check(CLI::Range(int64_t{1}, int64_t{4096}))
      ->capture_default_str();
  command
      .add_option("--targets", options.targets,
                  "layers that the adapter joins, with commas between them")
      ->delimiter(',')
      ->check(CLI::IsMember(
          {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}))
      ->capture_default_str();
  command.add_option("--base", options.base, "frozen weights: f32, bf16, q8 or q4")
      ->check(CLI::IsMember({"f32", "bf16", "q8", "q4"}))
      ->capture_default_str();
  command
      .add_option("--recipe", options.recipe,
                  "bytes a trained parameter: mixed (2+2+4+8), hearth-bf16 (2+4+4+8), hearth-f32")
      ->check(CLI::IsMember({"mixed", "hearth-bf16", "hearth-f32"}))
      ->capture_default_str();
  command.add_option("--recompute", options.recompute, "none: all activations are kept; block")
      ->check(CLI::IsMember({"none", "block"}))
      ->capture_default_str();
  command.add_option("--tokens", options.tokens, "in flight")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command.add_option("--device-gb", options.device_gb, "memory of a device, in GB of 10^9 bytes")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command.add_option("--per-node", options.per_node, "devices of a node")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command.add_option("--devices", options.devices, "show what each of so many holds")
      ->check(CLI::PositiveNumber);
  command.add_flag("--json", options.json, "one JSON object");
}

}  // namespace

void add_plan_command(CLI::App& app) {
  CLI::App* plan = app.add_subcommand("plan", "Memory and machines that work would take");
  plan->require_subcommand(1);
  CLI::App* command =
      plan->add_subcommand("train", "Fine-tuning, full and LoRA, by formula (docs/tuning.md)");
  auto options = std::make_shared<Plan>();
  add_flags(*command, *options);
  command->callback([options] { run(*options); });
  add_plan_ptu(*plan);
}

}  // namespace hearth::apps
