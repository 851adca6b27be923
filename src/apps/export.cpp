// hearth export: a model as a file for other programs.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <memory>

#include "apps/commands.h"
#include "apps/model_source.h"
#include "apps/progress.h"
#include "base/error.h"
#include "io/gguf_writer.h"
#include "models/gguf_export.h"
#include "models/model.h"
#include "tokenizer/export_gguf.h"

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

}  // namespace

void add_export_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("export", "Write a model for other programs: GGUF, as llama.cpp reads it");
  auto options = std::make_shared<Export>();
  command->add_flag("--gguf", options->gguf, "The format; the only one yet")->required();
  command->add_option("MODEL", options->model, "Model folder or name")->required();
  command->add_option("OUT", options->out, "The file to write")->required();
  command
      ->add_option("--type", options->type,
                   "Matrices as as-stored, f32, f16, bf16, q8_0 or q4_0 (the head stays q8_0)")
      ->check(CLI::IsMember({"as-stored", "f32", "f16", "bf16", "q8_0", "q4_0"}))
      ->capture_default_str();
  command->add_option("--data-dir", options->data_dir, "Where named models are")
      ->envname("HEARTH_DATA_DIR");
  command->callback([options] { run_export(*options); });
}

}  // namespace hearth::apps
