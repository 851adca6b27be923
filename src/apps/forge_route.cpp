// hearth forge route: one address for the replicas of an inference deployment, and their number.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <memory>
#include <unistd.h>

#include "apps/forge.h"
#include "base/error.h"
#include "base/log.h"
#include "forge/replicas/router.h"
#include "io/json.h"

namespace hearth::apps {
namespace {

constexpr int64_t kRoutedBytesMax = int64_t{64} << 20;

struct RouteFlags {
  ForgeAddress address;
  forge::RouterOptions router;
  int64_t job = -1;
  int64_t down_after_s = 60;
  int64_t restart_after_s = 60;
  int64_t start_limit_s = 900;
  int64_t drain_ms = 60'000;
};

void run_route(RouteFlags flags) {
  static const SystemClock clock;
  std::signal(SIGPIPE, SIG_IGN);
  forge::RouterOptions& router = flags.router;
  router.forge = find_forge(flags.address);
  router.job = static_cast<forge::JobId>(flags.job);
  if (router.scaler.max_replicas < router.scaler.min_replicas)
    throw_error(ErrorCode::kInvalidArgument, "--max", "expected at least --min ({})",
                router.scaler.min_replicas);
  router.scaler.down_after_ms = flags.down_after_s * 1'000;
  router.watchdog = {flags.restart_after_s * 1'000, flags.start_limit_s * 1'000};
  const auto known = forge::Client(router.forge).get(fmt::format("jobs/{}", flags.job));
  if (known.at("type") != "inference")
    throw_error(ErrorCode::kInvalidArgument, "JOB", "job {} is no deployment: its type is {}",
                flags.job, known.at("type").get<std::string>());
  // Before any thread is there: all of them leave the signals to this one.
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  forge::ReplicaRouter service(router, clock);
  service.start();
  std::printf("\n  Deployment %lld (%s) answers at http://%s:%d\n\n",
              static_cast<long long>(flags.job), known.at("name").get<std::string>().c_str(),
              router.http.host.c_str(), service.port());
  std::fflush(stdout);
  int signal = 0;
  sigwait(&set, &signal);
  log::info("draining: running requests finish, new ones are refused");
  service.stop(flags.drain_ms);
}

}  // namespace

void add_forge_route(CLI::App& forge) {
  CLI::App* route = forge.add_subcommand(
      "route", "One address for a deployment's replicas, scaled by their load");
  auto flags = std::make_shared<RouteFlags>();
  forge::RouterOptions& router = flags->router;
  router.http.port = 8000;
  router.http.limits.body_bytes_max = kRoutedBytesMax;
  add_forge_address(*route, flags->address);
  route->add_option("JOB", flags->job, "The deployment: a job of type inference")->required();
  route->add_option("--host", router.http.host, "Address to listen on; 0.0.0.0 for all")
      ->capture_default_str();
  route->add_option("--port", router.http.port, "Port to listen on; 0 takes a free one")
      ->capture_default_str();
  route->add_option("--min", router.scaler.min_replicas, "Never fewer replicas")
      ->check(CLI::Range(1, 1'000))
      ->capture_default_str();
  route->add_option("--max", router.scaler.max_replicas, "Never more replicas")
      ->check(CLI::Range(1, 1'000))
      ->capture_default_str();
  route
      ->add_option("--requests-each", router.scaler.requests_each,
                   "That a replica serves well at a time; one less must fit before one goes")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  route
      ->add_option("--waiting-each", router.scaler.waiting_each,
                   "That may wait, for each replica, before there are more")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  route
      ->add_option("--ptu", router.scaler.ptu,
                   "Promised by the deployment as a whole: never fewer replicas than these take")
      ->check(CLI::NonNegativeNumber);
  route
      ->add_option("--down-after-s", flags->down_after_s,
                   "So long one replica less must have sufficed before one is drained")
      ->check(CLI::Range(1, 86'400))
      ->capture_default_str();
  route
      ->add_option(
          "--restart-after-s", flags->restart_after_s,
          "A replica that was ready and has not been for so long is started again; 0: none "
          "is")
      ->check(CLI::Range(0, 86'400))
      ->capture_default_str();
  route
      ->add_option("--start-limit-s", flags->start_limit_s,
                   "The same for one that has not been ready yet")
      ->check(CLI::Range(1, 86'400))
      ->capture_default_str();
  route->add_option("--drain-timeout-ms", flags->drain_ms, "For running requests, when this ends")
      ->check(CLI::Range(0, 86'400'000))
      ->capture_default_str();
  route->callback([flags] { run_route(*flags); });
}

}  // namespace hearth::apps
