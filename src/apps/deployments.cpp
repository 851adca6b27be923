// hearth deployments: the contracts of a running server.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "apps/commands.h"
#include "base/error.h"
#include "io/json.h"
#include "transport/http_client.h"

namespace hearth::apps {
namespace {

using io::Json;

struct Contract {
  std::string url = "http://127.0.0.1:8000";
  std::string api_key;
  std::string id;  // or name
  std::string tenant;
  std::string model;
  std::string service_class = "provisioned";
  std::string spillover;
  std::optional<double> ptu;
  bool json = false;
};

Json call(const Contract& options, const std::string& method, const std::string& path,
          const Json& body) {
  transport::ClientRequest request{method, options.url + path, {}, {}};
  request.headers.set("Content-Type", "application/json");
  if (!options.api_key.empty()) {
    request.headers.set("Authorization", "Bearer " + options.api_key);
  }
  if (!body.is_null()) request.body = io::dump_json(body);
  const transport::HttpResponse response = transport::make_http_client()->send(request);
  const Json answer = io::parse_json(response.body, options.url + path);
  if (response.status == 200) return answer;
  const std::string text =
      answer.contains("error") ? answer["error"].value("message", response.body) : response.body;
  throw_error(ErrorCode::kInvalidArgument, options.url + path, "status {}: {}", response.status,
              text);
}

std::string path_of(const Contract& options) { return "/v1/deployments/" + options.id; }

void print_row(const Json& one) {
  const Json& status = one["status"];
  std::printf("%-18s %-14s %-18s %-12s %9.3f %9.3f %6.1f%% %11.0f %11.0f %9.1f %7d %7d %9lld\n",
              one["name"].get<std::string>().c_str(), one["tenant"].get<std::string>().c_str(),
              one["model"].get<std::string>().c_str(),
              one["service_class"].get<std::string>().c_str(), one["ptu"].get<double>(),
              status["used_ptu"].get<double>(), status["utilization"].get<double>() * 100,
              status["prompt_tokens_per_minute"].get<double>(),
              status["generated_tokens_per_minute"].get<double>(),
              status["time_per_token_ms"].get<double>(), status["running"].get<int>(),
              status["waiting"].get<int>(), status["refused"].get<long long>());
}

void print_head() {
  std::printf("%-18s %-14s %-18s %-12s %9s %9s %7s %11s %11s %9s %7s %7s %9s\n", "name", "tenant",
              "model", "class", "ptu", "used", "full", "prompt/min", "gen/min", "ms/token",
              "running", "waiting", "refused");
}

void print_one(const Contract& options, const Json& one) {
  if (options.json) {
    std::printf("%s\n", one.dump(2).c_str());
    return;
  }
  print_head();
  print_row(one);
}

void list(const Contract& options) {
  const Json answer = call(options, "GET", "/v1/deployments", nullptr);
  if (options.json) {
    std::printf("%s\n", answer.dump(2).c_str());
    return;
  }
  print_head();
  for (const Json& one : answer["data"]) print_row(one);
  if (!answer.contains("capacity")) return;
  const Json& capacity = answer["capacity"];
  const double sold = capacity["sold"];
  if (capacity["ptu"].is_null()) {
    std::printf("\n%.3f PTU sold; how many there are nobody has measured: hearth calibrate\n",
                sold);
  } else {
    std::printf("\n%.3f of %.3f PTU sold (%s)\n", sold, capacity["ptu"].get<double>(),
                capacity["source"].get<std::string>().c_str());
  }
}

void create(const Contract& options) {
  Json body = {{"name", options.id}, {"service_class", options.service_class}};
  if (!options.tenant.empty()) body["tenant"] = options.tenant;
  if (!options.model.empty()) body["model"] = options.model;
  if (!options.spillover.empty()) body["spillover"] = options.spillover;
  if (options.ptu) body["ptu"] = *options.ptu;
  print_one(options, call(options, "POST", "/v1/deployments", body));
}

void set(const Contract& options) {
  Json body = Json::object();
  if (options.ptu) body["ptu"] = *options.ptu;
  if (!options.spillover.empty()) body["spillover"] = options.spillover;
  if (body.empty()) {
    throw_error(ErrorCode::kInvalidArgument, "--ptu", "nothing to change: give --ptu, --spillover");
  }
  print_one(options, call(options, "PATCH", path_of(options), body));
}

void remove(const Contract& options) {
  call(options, "DELETE", path_of(options), nullptr);
  std::printf("deleted %s\n", options.id.c_str());
}

using ContractAction = void (*)(const Contract&);

CLI::App* add_action(CLI::App& parent, const char* name, const char* help,
                     const std::shared_ptr<Contract>& options, ContractAction action) {
  CLI::App* command = parent.add_subcommand(name, help);
  command->add_option("--url", options->url, "Server, without /v1")->capture_default_str();
  command->add_option("--api-key", options->api_key, "An admin's key, where the server has keys")
      ->envname("HEARTH_API_KEY");
  command->add_flag("--json", options->json, "The server's answer as it is");
  command->callback([options, action] { action(*options); });
  return command;
}

void add_contract_flags(CLI::App& command, Contract& options) {
  command.add_option("--ptu", options.ptu, "Provisioned throughput units; fractions to 0.001");
  command
      .add_option("--spillover", options.spillover,
                  "Over the purchased rate: refuse (429), or standard service")
      ->check(CLI::IsMember({"refuse", "standard"}));
}

}  // namespace

void add_deployments_command(CLI::App& app) {
  CLI::App* parent = app.add_subcommand(
      "deployments", "Contracts on throughput of a running server (docs/flywheel.md)");
  parent->require_subcommand(1);
  auto options = std::make_shared<Contract>();
  add_action(*parent, "list", "All of them, with what goes on in each", options, list);
  CLI::App* made = add_action(*parent, "create", "A new one", options, create);
  made->add_option("NAME", options->id, "What people call it")->required();
  made->add_option("--tenant", options->tenant, "Whose; your own, if not given");
  made->add_option("--model", options->model, "The base or an adapter; * for all of the tenant's");
  made->add_option("--class", options->service_class, "provisioned, standard or batch")
      ->check(CLI::IsMember({"provisioned", "standard", "batch"}))
      ->capture_default_str();
  add_contract_flags(*made, *options);
  CLI::App* changed = add_action(*parent, "set", "Buys more or less, at once", options, set);
  changed->add_option("NAME", options->id, "Name or id")->required();
  add_contract_flags(*changed, *options);
  CLI::App* gone = add_action(*parent, "delete", "Ends one; what runs finishes", options, remove);
  gone->add_option("NAME", options->id, "Name or id")->required();
}

}  // namespace hearth::apps
