// hearth top: what a running server does, drawn each second.
#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "apps/commands.h"
#include "apps/screen.h"
#include "base/clock.h"
#include "base/error.h"
#include "io/json.h"
#include "serve/client/top_screen.h"
#include "transport/http_client.h"

namespace hearth::apps {
namespace {

using io::Json;

constexpr int kForbidden = 403;
constexpr int64_t kSilenceMs = 5'000;

struct Top {
  std::string url = "http://127.0.0.1:8000";
  std::string api_key;
  bool once = false;
};

class Asker {
 public:
  explicit Asker(const Top& options) : options_(options) {}

  // Null, where the key may not ask for it.
  Json get(const std::string& path) {
    transport::ClientRequest request{"GET", options_.url + path, {}, {}};
    request.silence_timeout_ms = kSilenceMs;
    if (!options_.api_key.empty()) {
      request.headers.set("Authorization", "Bearer " + options_.api_key);
    }
    const transport::HttpResponse response = client_->send(request);
    if (response.status == kForbidden) return nullptr;
    const Json answer = Json::parse(response.body, nullptr, false);
    if (response.status == 200 && answer.is_object()) return answer;
    const bool told = answer.is_object() && answer.contains("error");
    throw_error(ErrorCode::kUnavailable, options_.url + path, "status {}: {}", response.status,
                told ? answer["error"].value("message", response.body)
                     : "no Hearth server answers there; say where it is with --url");
  }

 private:
  const Top& options_;
  const std::unique_ptr<transport::HttpClient> client_ = transport::make_http_client();
};

void run_top(const Top& options) {
  static const SystemClock clock;
  Asker asker(options);
  show_screen(options.once ? Watch::kOnce : Watch::kFollow, [&](ScreenSize size) {
    serve::TopAnswers answers;
    answers.now_s = clock.wall() / kSecond;
    answers.status = asker.get("/v1/hearth/status");
    answers.deployments = asker.get("/v1/deployments");
    // An admin sees everybody's; of others the question does no harm.
    answers.jobs = asker.get("/v1/fine_tuning/jobs?project_id=*&limit=50");
    answers.batches = asker.get("/v1/batches?project_id=*&limit=50");
    return serve::top_screen(answers, size.columns, size.rows);
  });
}

}  // namespace

void add_top_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("top", "What a running server does, once a second; q leaves");
  auto options = std::make_shared<Top>();
  command->add_option("--url", options->url, "Server, without /v1")->capture_default_str();
  command->add_option("--api-key", options->api_key, "A key, where the server has keys")
      ->envname("HEARTH_API_KEY");
  command->add_flag("--once", options->once, "Print it once, as plain text");
  command->callback([options] { run_top(*options); });
}

}  // namespace hearth::apps
