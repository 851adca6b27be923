// The real HTTP server and API over the fake model, as a program: what tests/e2e drives with the
// clients of others. Prints "listening PORT". SIGTERM drains, a second one forces.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <pthread.h>
#include <string>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "serve/fake_model.h"
#include "serve/server.h"

namespace {

using namespace hearth;

// As slow as a device: streams stay open for a while.
class SlowRunner final : public engine::Runner {
 public:
  explicit SlowRunner(int64_t step_ms) : step_ms_(step_ms) {}
  engine::StepResult run(const engine::StepPlan& plan) override {
    std::this_thread::sleep_for(std::chrono::milliseconds(step_ms_));
    return runner_.run(plan);
  }

 private:
  const int64_t step_ms_;
  serve::FakeRunner runner_;
};

std::string flag(int argc, char** argv, const std::string& name, const std::string& fallback) {
  for (int i = 1; i + 1 < argc; i += 2) {
    if (argv[i] == name) return argv[i + 1];
  }
  return fallback;
}

int run(int argc, char** argv) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  log::init("warn");

  SystemClock clock;
  SlowRunner runner(std::stoll(flag(argc, argv, "--step-ms", "1")));
  serve::ModelHandle model = serve::fake_model();
  model.engine.max_num_seqs = 2048;
  model.engine.max_num_batched_tokens = 8192;
  model.engine.num_blocks = 1 << 16;
  model.engine.max_queued_requests = std::stoi(flag(argc, argv, "--queue", "4096"));
  model.runner = &runner;
  serve::ServerOptions options;
  options.http.port = 0;
  options.http.io_threads = 2;
  if (const std::string key = flag(argc, argv, "--api-key", ""); !key.empty()) {
    options.api_keys = {serve::hash_api_key("test", key)};
  }
  options.tenant_requests_max = std::stoi(flag(argc, argv, "--tenant-requests", "0"));
  serve::Server server(options, std::move(model), clock);
  server.start();
  std::printf("listening %d\n", server.port());
  std::fflush(stdout);

  int received = 0;
  sigwait(&signals, &received);
  server.drain();
  std::thread stopping([&server] { server.stop(); });
  // The second signal, or the end of stop(), whichever comes first.
  std::thread forcing([&] {
    int again = 0;
    sigwait(&signals, &again);
    server.force();
  });
  stopping.join();
  pthread_kill(forcing.native_handle(), SIGTERM);
  forcing.join();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s: %s\n", error.where.c_str(), error.text.c_str());
    return 1;
  }
}
