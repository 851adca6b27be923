// hearth merge: an adapter folded into its base, as a Hugging Face directory of its own.
#include "adapters/merge.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>

#include "apps/commands.h"
#include "backend/cpu/thread_pool.h"

namespace hearth::apps {
namespace {

struct Merge {
  std::string base, adapter, out;
};

void run(const Merge& options) {
  io::Folder files(options.adapter);
  const adapters::Adapter adapter = adapters::load_adapter(files);
  backend::cpu::ThreadPool pool(
      static_cast<int>(std::max(1u, std::thread::hardware_concurrency())));
  adapters::merge_checkpoint(options.base, adapter, options.out, pool);
  std::fprintf(stderr, "%zu modules of %s merged into %s: %s\n", adapter.modules.size(),
               options.adapter.c_str(), options.base.c_str(), options.out.c_str());
}

}  // namespace

void add_merge_command(CLI::App& app) {
  auto options = std::make_shared<Merge>();
  CLI::App* command =
      app.add_subcommand("merge", "Fold a LoRA or DoRA adapter into the weights of its base");
  command->add_option("BASE", options->base, "folder of the model")->required();
  command->add_option("ADAPTER", options->adapter, "folder of the adapter, in PEFT's form")
      ->required();
  command->add_option("--out", options->out, "folder for the merged model")->required();
  command->callback([options] { run(*options); });
}

}  // namespace hearth::apps
