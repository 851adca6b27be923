// hearth bench serve: load on any OpenAI-compatible server, and the figures that come out.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "apps/commands.h"
#include "apps/progress.h"
#include "io/file.h"
#include "io/json.h"
#include "load/driver.h"
#include "load/report.h"
#include "load/workload.h"

namespace hearth::apps {
namespace {

struct BenchServe {
  load::DriverOptions driver;
  load::WorkloadOptions workload;
  std::string endpoint = "completions";
  std::string trace;
  double trace_speed = 1;
  std::string goodput;
  std::string json_path;

  std::vector<load::PlannedRequest> plan() const {
    return trace.empty() ? load::make_workload(workload)
                         : load::load_trace(trace, workload.requests, trace_speed);
  }
};

std::vector<load::RequestRecord> drive(const BenchServe& options,
                                       const std::vector<load::PlannedRequest>& plan) {
  const SystemClock clock;
  ProgressBar progress("requests");  // gone before the report comes
  return load::drive(plan, options.driver, transport::make_http_client, clock,
                     [&](size_t done, size_t total) {
                       progress.show(static_cast<int64_t>(done), static_cast<int64_t>(total));
                     });
}

void run_bench_serve(BenchServe options) {
  const load::ServiceLevel level = load::parse_service_level(options.goodput);
  const auto plan = options.plan();
  options.driver.endpoint =
      options.endpoint == "chat" ? load::Endpoint::kChat : load::Endpoint::kCompletions;
  options.driver.seed = options.workload.seed;
  if (options.driver.model.empty()) {
    options.driver.model = load::first_model(*transport::make_http_client(), options.driver);
  }
  std::printf("%zu requests to %s, model %s\n\n", plan.size(), options.driver.url.c_str(),
              options.driver.model.c_str());
  const load::Report report = load::make_report(drive(options, plan), level);
  std::fputs(load::report_table(report).c_str(), stdout);
  if (!options.json_path.empty()) {
    io::Json json = load::report_json(report);
    json["url"] = options.driver.url;
    json["model"] = options.driver.model;
    json["seed"] = options.workload.seed;
    io::write_file_atomic(options.json_path, io::dump_json(json) + "\n");
  }
}

void add_bench_serve(CLI::App& bench) {
  CLI::App* command = bench.add_subcommand(
      "serve", "Send requests to an OpenAI-compatible server; report latency and throughput");
  auto options = std::make_shared<BenchServe>();
  auto& driver = options->driver;
  auto& workload = options->workload;
  command->add_option("--url", driver.url, "Server, without /v1")->capture_default_str();
  command->add_option("--model", driver.model,
                      "Model to ask for; the first that the server lists, if not given");
  command->add_option("--api-key", driver.api_key, "Sent as a bearer token")
      ->envname("HEARTH_API_KEY");
  command->add_option("--endpoint", options->endpoint, "completions or chat")
      ->check(CLI::IsMember({"completions", "chat"}))
      ->capture_default_str();
  command->add_option("--requests", workload.requests, "How many requests to send")
      ->capture_default_str();
  command
      ->add_option("--request-rate", workload.requests_per_second,
                   "Mean arrivals a second; 0 sends all at once")
      ->capture_default_str();
  command
      ->add_option("--burstiness", workload.burstiness,
                   "1 is Poisson, below 1 bursts, above 1 is more even")
      ->capture_default_str();
  command->add_option("--max-concurrency", driver.concurrency_max, "Connections at once")
      ->capture_default_str();
  command
      ->add_option("--prompt-tokens", workload.prompt_tokens,
                   "Words in a prompt, about one token each")
      ->capture_default_str();
  command->add_option("--output-tokens", workload.output_tokens, "Tokens in an answer")
      ->capture_default_str();
  command
      ->add_option("--length-spread", workload.length_spread,
                   "Lengths vary by this share around the mean, 0 to 1")
      ->capture_default_str();
  command
      ->add_option("--trace", options->trace,
                   "Arrivals and lengths from a trace instead: CSV with arrival,input,output, or "
                   "JSONL")
      ->check(CLI::ExistingFile);
  command->add_option("--trace-speed", options->trace_speed, "Replay the trace this much faster")
      ->capture_default_str();
  command->add_option("--goodput", options->goodput,
                      "Service level in ms, such as ttft:500,tpot:50,e2el:5000");
  command->add_option("--temperature", driver.temperature, "Sampling temperature of every request")
      ->capture_default_str();
  command->add_option("--seed", workload.seed, "Same seed, same workload")->capture_default_str();
  command->add_option("--json", options->json_path, "Also write the report to this file as JSON");
  command->footer(
      "  hearth bench serve --requests 200 --request-rate 5 --prompt-tokens 1024\n"
      "  hearth bench serve --url http://host:8000 --max-concurrency 16 --json out.json\n"
      "  hearth bench serve --trace trace.csv --goodput ttft:500,tpot:50");
  command->callback([options] { run_bench_serve(*options); });
}

}  // namespace

void add_bench_command(CLI::App& app) {
  CLI::App* bench = app.add_subcommand("bench", "Measure a running server, or this machine");
  bench->require_subcommand(1);
  add_bench_serve(*bench);
  add_bench_kernels(*bench);
}

}  // namespace hearth::apps
