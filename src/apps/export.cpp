// hearth export: a model as a file for other programs.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <memory>

#include "adapters/peft.h"
#include "apps/commands.h"
#include "apps/model_source.h"
#include "apps/progress.h"
#include "base/error.h"
#include "io/gguf_writer.h"
#include "io/json.h"
#include "models/gguf_export.h"
#include "models/model.h"
#include "tokenizer/export_gguf.h"
#include "train/adapter_gguf.h"

namespace hearth::apps {
namespace {

using models::GgufExportType;

const std::map<std::string, GgufExportType> kTypes = {
    {"as-stored", GgufExportType::kAsStored},
    {"f32", GgufExportType::kF32},
    {"f16", GgufExportType::kF16},
    {"bf16", GgufExportType::kBF16},
    {"q8_0", GgufExportType::kQ8_0},
    {"q4_0", GgufExportType::kQ4_0},
};

struct Export {
  std::string model;
  std::string adapter;
  std::string out;
  std::string type = "as-stored";
  std::string data_dir = default_data_dir();
  bool gguf = false;
};

void run_export(const Export& options) {
  const ModelSource source = find_model(options.model, options.data_dir);
  if (source.files->has(io::kGgufFile)) {
    throw_error(ErrorCode::kUnsupported, options.model,
                "this is a GGUF file already; a Hugging Face folder is exported");
  }
  io::GgufWriter writer;
  const auto info = models::export_gguf(
      *source.files, {.type = kTypes.at(options.type), .name = source.name}, writer);
  tokenizer::export_gguf_tokenizer(*source.files, info.vocabulary, info.eos, writer);
  {
    ProgressBar progress("writing");
    writer.write(options.out, [&](int64_t done, int64_t total) { progress.show(done, total); });
  }
  std::printf("%s: %s, matrices %s\n", options.out.c_str(), info.architecture.c_str(),
              options.type.c_str());
}

// The adapter alone; of the model only its shape is asked for.
void run_export_adapter(const Export& options) {
  const ModelSource source = find_model(options.model, options.data_dir);
  const std::string where = source.files->where("config.json");
  io::Folder files(options.adapter);
  const adapters::Adapter adapter = adapters::load_adapter(files);
  io::GgufWriter writer;
  train::export_adapter_gguf(adapter, io::parse_json(source.files->text("config.json"), where),
                             where, writer);
  writer.write(options.out);
  std::printf("%s: %zu modules; llama.cpp takes it with --lora beside the model\n",
              options.out.c_str(), adapter.modules.size());
}

}  // namespace

void add_export_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("export", "Write a model for other programs: GGUF, as llama.cpp reads it");
  auto options = std::make_shared<Export>();
  CLI::Option_group* what = command->add_option_group("What");
  what->add_flag("--gguf", options->gguf, "The model");
  what->add_option("--adapter-gguf", options->adapter,
                   "A LoRA adapter of the model, alone: its folder, in PEFT's form");
  what->require_option(1);
  command->add_option("MODEL", options->model, "Model folder or name")->required();
  command->add_option("OUT", options->out, "The file to write")->required();
  command
      ->add_option("--type", options->type,
                   "Matrices as as-stored, f32, f16, bf16, q8_0 or q4_0 (the head stays q8_0)")
      ->check(CLI::IsMember({"as-stored", "f32", "f16", "bf16", "q8_0", "q4_0"}))
      ->capture_default_str();
  command->add_option("--data-dir", options->data_dir, "Where named models are")
      ->envname("HEARTH_DATA_DIR");
  command->callback(
      [options] { options->gguf ? run_export(*options) : run_export_adapter(*options); });
}

}  // namespace hearth::apps
