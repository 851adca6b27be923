#include "apps/lora_flags.h"

#include <CLI/CLI.hpp>

#include "base/error.h"

namespace hearth::apps {

void add_lora_flags(CLI::App& command, LoraFlags& flags) {
  flags.memory_bytes = kAdapterMemoryBytes;
  command.option_defaults()->group("Adapters");
  command.add_option("--lora", flags.adapters,
                     "Adapter to serve: NAME=FOLDER for everybody, @TENANT/NAME=FOLDER for the key "
                     "of that name; may be repeated");
  command.add_option(
      "--lora-dir", flags.folder,
      "Folder of adapters, watched: DIR/NAME is served to everybody, DIR/@TENANT/NAME "
      "to that tenant; the API loads from it too");
  command
      .add_option("--adapter-memory", flags.memory_bytes,
                  "Memory for adapters in use, such as 512MB; more can be served than fit; 0: none")
      ->transform(CLI::AsSizeValue(false))
      ->default_str("1GB");
  command.add_option("--max-lora-rank", flags.rank_max, "Greatest rank of an adapter")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command
      .add_option("--max-loras", flags.max_loras,
                  "Adapters that requests use at once; 0: as many as there are")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command
      .add_option("--max-registered-loras", flags.limits.adapters_max,
                  "Adapters that are served, in memory or not")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command
      .add_option("--lora-dtype", flags.dtype,
                  "What adapters are held as: auto (as in their files), f32, f16 or bf16")
      ->check(CLI::IsMember({"auto", "f32", "f16", "bf16"}))
      ->capture_default_str();
  command.option_defaults()->group("Options");
}

void serve_adapters(const LoraFlags& flags, serve::AdapterRegistry& registry) {
  for (const std::string& text : flags.adapters) {
    const size_t equals = text.find('=');
    std::string name = text.substr(0, equals);
    std::string owner = serve::kEverybody;
    if (const size_t slash = name.find('/'); name.starts_with('@') && slash != std::string::npos) {
      owner = name.substr(1, slash - 1);
      name = name.substr(slash + 1);
    }
    if (equals == std::string::npos || name.empty() || equals + 1 == text.size()) {
      throw_error(ErrorCode::kInvalidArgument, "--lora",
                  "expected NAME=FOLDER or @TENANT/NAME=FOLDER, got '{}'", text);
    }
    // What a client had loaded under this name before the restart gives way.
    registry.unload(owner, name);
    registry.load(owner, name, text.substr(equals + 1));
  }
}

}  // namespace hearth::apps
