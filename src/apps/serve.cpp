// hearth serve: one model behind one port.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <thread>

#include "apps/commands.h"
#include "apps/embedded.h"
#include "apps/local_model.h"
#include "apps/lora_flags.h"
#include "apps/model_flags.h"
#include "apps/model_source.h"
#include "apps/tune_process.h"
#include "apps/web_files.h"
#include "apps/weight_mover.h"
#include "base/error.h"
#include "base/log.h"
#include "io/file.h"
#include "serve/server.h"

namespace hearth::apps {
namespace {

struct Serve {
  ModelFlags model;
  LoraFlags lora;
  serve::ServerOptions server;
  std::vector<std::string> api_keys;
  std::string api_key_file;
  std::string admin_key;
  std::string tuning_priority = "idle";
};

TunePriority parse_priority(const std::string& text) {
  if (text == "normal") return TunePriority::kNormal;
  return text == "low" ? TunePriority::kLow : TunePriority::kIdle;
}

std::vector<serve::ApiKey> api_keys(const Serve& options) {
  std::vector<serve::ApiKey> keys;
  if (!options.api_key_file.empty()) {
    keys = serve::parse_key_file(io::read_file(options.api_key_file), options.api_key_file);
  }
  for (size_t i = 0; i < options.api_keys.size(); ++i) {
    keys.push_back(
        serve::hash_api_key(i == 0 ? "default" : fmt::format("key{}", i + 1), options.api_keys[i]));
  }
  return keys;
}

// Blocks SIGINT and SIGTERM in this thread and those that it starts; wait() takes them one by one.
class Signals {
 public:
  Signals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGINT);
    sigaddset(&set_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
  }
  int wait() const {
    int signal = 0;
    sigwait(&set_, &signal);
    return signal;
  }

 private:
  sigset_t set_{};
};

void print_welcome(const serve::Server& server, const Serve& options, const LocalModel& local) {
  const auto& engine = local.handle().engine;
  log::info("serving model={} threads={} max_model_len={} kv_cache_tokens={}", local.handle().name,
            local.threads(), engine.max_model_len,
            int64_t{engine.num_blocks} * engine::kBlockTokens);
  const std::string host =
      options.server.http.host == "0.0.0.0" ? "127.0.0.1" : options.server.http.host;
  const std::string url = fmt::format("http://{}:{}", host, server.port());
  const auto row = [](const char* name, const std::string& value) {
    std::printf("  %-12s %s\n", name, value.c_str());
  };
  std::printf("\n  Hearth is serving %s\n\n", local.handle().name.c_str());
  row("playground", url);
  row("OpenAI API", url + "/v1");
  row("metrics", url + "/metrics");
  row("context", fmt::format("{} tokens, {} in all requests together", engine.max_model_len,
                             int64_t{engine.num_blocks} * engine::kBlockTokens));
  row("stop", "Ctrl-C");
  std::printf("\n");
  std::fflush(stdout);
  if (options.server.api_keys.empty() && options.server.http.host == "0.0.0.0") {
    log::warn("everybody who reaches this port may ask; --api-key or --api-key-file says who may");
  }
}

// Whoever trains adapters of the served model, from the folder of its files; the one inside the
// program is written to a folder first. Null, where there is no such folder.
std::unique_ptr<serve::Trainer> make_trainer(const Serve& options) {
  const ModelSource source = find_model(options.model.model, options.model.data_dir);
  std::string folder = source.path;
  if (folder.empty()) {
    folder = options.model.data_dir + "/bases/" + source.name;
    std::filesystem::create_directories(folder);
    for (const EmbeddedFile& file : embedded_model()) {
      const std::filesystem::path path = folder / std::filesystem::path(file.path);
      std::error_code missing;
      if (std::filesystem::file_size(path, missing) == file.bytes.size() && !missing) continue;
      std::filesystem::create_directories(path.parent_path());
      io::write_file_atomic(path.string(), file.bytes);
    }
  }
  if (!std::filesystem::exists(folder + "/config.json")) return nullptr;
  return std::make_unique<TuneProcess>(std::filesystem::absolute(folder).string(),
                                       parse_priority(options.tuning_priority));
}

// First signal: running requests finish. Second: they do not.
void stop_on_signals(serve::Server& server, const Signals& signals) {
  signals.wait();
  log::info(
      "draining: running requests finish, new ones are refused; a second signal stops at once");
  std::thread second([&] {
    signals.wait();
    server.force();
  });
  second.detach();
  server.stop();
}

void run_serve(Serve options) {
  const Signals signals;
  static const SystemClock clock;
  options.server.api_keys = api_keys(options);
  if (!options.admin_key.empty()) {
    options.server.admin_keys = {serve::hash_api_key("admin", options.admin_key)};
  }
  make_data_dir(options.model.data_dir);
  options.server.data_dir = options.model.data_dir;
  options.server.web = web_files();
  options.server.version = HEARTH_VERSION;
  options.server.adapters = {options.lora.limits, options.lora.folder};
  const LocalModel local(options.model, clock, options.lora);
  const auto trainer = make_trainer(options);
  options.server.trainer = trainer.get();
  serve::Server server(options.server, local.handle(), clock);
  serve_adapters(options.lora, server.adapters());
  server.start();
  print_welcome(server, options, local);
  const WeightMover mover(local);
  stop_on_signals(server, signals);
  log::info("stopped");
}

}  // namespace

void add_serve_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "serve", "Serve a model: OpenAI-compatible API, playground and metrics on one port");
  auto options = std::make_shared<Serve>();
  add_model_flags(*command, options->model);
  add_lora_flags(*command, options->lora);
  auto& server = options->server;
  command->add_option("--host", server.http.host, "Address to listen on; 0.0.0.0 for all")
      ->capture_default_str();
  command->add_option("--port", server.http.port, "Port to listen on; 0 takes a free one")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  command->add_option("--api-key", options->api_keys, "Key that clients must send; may be repeated")
      ->envname("HEARTH_API_KEYS");
  command
      ->add_option("--api-key-file", options->api_key_file,
                   "File of hashed keys, one a line: name:salt:hash")
      ->check(CLI::ExistingFile);
  command
      ->add_option(
          "--admin-key", options->admin_key,
          "Key that may also manage tenants, keys, limits and deployments; see `hearth keys`")
      ->envname("HEARTH_ADMIN_KEY");
  command->add_option("--cors-origin", server.cors_origins,
                      "Origin of web pages that may call; may be repeated; * for all");
  command->add_option("--io-threads", server.http.io_threads, "Threads for sockets")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command->add_option("--max-body-bytes", server.http.limits.body_bytes_max, "Largest request body")
      ->capture_default_str();
  command
      ->add_option("--max-tenant-requests", server.tenant_requests_max,
                   "Requests of one key at once; 0: no limit")
      ->capture_default_str();
  command
      ->add_option("--tuning-priority", options->tuning_priority,
                   "Of tuning jobs beside the server: idle, low or normal")
      ->check(CLI::IsMember({"idle", "low", "normal"}))
      ->capture_default_str();
  auto& limits = server.services;
  command
      ->add_option("--max-file-bytes", limits.file_bytes_max, "Largest file that may be uploaded")
      ->capture_default_str();
  command
      ->add_option("--max-project-file-bytes", limits.project_file_bytes_max,
                   "All files of one tenant")
      ->capture_default_str();
  command->add_option("--max-batch-requests", limits.batch_requests_max, "Requests of one batch")
      ->capture_default_str();
  command
      ->add_option("--batch-requests-at-once", limits.batch_requests_at_once,
                   "Requests of batches in the engine at once, while nobody else is there")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command
      ->add_option("--drain-timeout-ms", server.drain_ms,
                   "How long running requests may take after the first signal")
      ->capture_default_str();
  command->footer(
      "  hearth serve                                   the model inside\n"
      "  hearth serve path/to/model --host 0.0.0.0 --api-key SECRET\n"
      "  hearth serve model.gguf --port 9000 --cors-origin https://my.app\n"
      "  hearth serve path/to/base --lora sql=path/to/adapter");
  command->callback([options] { run_serve(*options); });
}

}  // namespace hearth::apps
