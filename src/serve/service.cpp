#include "serve/service.h"

#include <algorithm>
#include <mutex>

#include "base/error.h"
#include "base/log.h"
#include "io/json.h"
#include "serve/adapter_folder.h"
#include "serve/app.h"
#include "serve/deployments/deployments.h"
#include "serve/fields.h"
#include "serve/response_store.h"
#include "serve/stats_feed.h"

namespace hearth::serve {

using transport::HttpExchange;
using transport::HttpRequest;
using transport::HttpResponse;

namespace {

constexpr size_t kRequestIdMax = 128;

// "/v1/models/{id}" against "/v1/models/x".
bool matches(std::string_view pattern, std::string_view path,
             std::map<std::string, std::string>& found) {
  while (!pattern.empty() && !path.empty()) {
    const size_t pattern_end = std::min(pattern.find('/', 1), pattern.size());
    const size_t path_end = std::min(path.find('/', 1), path.size());
    const std::string_view want = pattern.substr(0, pattern_end);
    const std::string_view got = path.substr(0, path_end);
    if (want.starts_with("/{")) {
      if (got.size() < 2) return false;
      found[std::string(want.substr(2, want.size() - 3))] = got.substr(1);
    } else if (want != got) {
      return false;
    }
    pattern.remove_prefix(pattern_end);
    path.remove_prefix(path_end);
  }
  return pattern.empty() && path.empty();
}

std::string key_of(const HttpRequest& request) {
  if (const std::string* header = request.headers.find("authorization")) {
    constexpr std::string_view kBearer = "bearer ";
    if (header->size() > kBearer.size() &&
        transport::equals_ignoring_case(std::string_view(*header).substr(0, kBearer.size()),
                                        kBearer)) {
      return header->substr(kBearer.size());
    }
  }
  const std::string* header = request.headers.find("x-api-key");
  return header ? *header : std::string();
}

bool is_plain(const std::string& id) {
  return !id.empty() && id.size() <= kRequestIdMax &&
         std::all_of(id.begin(), id.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
}

ErrorShape shape_of(const std::string& path) {
  return path.starts_with("/v1/messages") ? ErrorShape::kAnthropic : ErrorShape::kOpenAi;
}

uint64_t fnv(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

// How many requests each tenant has in the house.
class TenantCounts : public std::enable_shared_from_this<TenantCounts> {
 public:
  // A place that is given back when the pointer dies; null when `limit` are taken.
  std::shared_ptr<void> enter(const std::string& tenant, int32_t limit) {
    const std::lock_guard lock(mutex_);
    int32_t& count = counts_[tenant];
    if (limit > 0 && count >= limit) return nullptr;
    ++count;
    return std::shared_ptr<void>(
        this, [self = shared_from_this(), tenant](void*) { self->leave(tenant); });
  }

 private:
  void leave(const std::string& tenant) {
    const std::lock_guard lock(mutex_);
    if (--counts_[tenant] == 0) counts_.erase(tenant);
  }

  std::mutex mutex_;
  std::map<std::string, int32_t> counts_;
};

}  // namespace

struct Service::Impl {
  const ServerOptions options;
  const ModelHandle model;
  const Clock& clock;
  Executor& executor;
  Metrics metrics;
  Ids ids;
  const std::shared_ptr<TenantCounts> tenants = std::make_shared<TenantCounts>();
  ResponseStore responses;
  EngineLoop engine;
  Deployments deployments;
  StatsFeed feed;
  AdapterRegistry adapters;
  AdapterFolder adapter_folder;
  std::atomic<bool> looking{false};  // into the folder
  const std::vector<Route> routes = all_routes();
  std::vector<uint64_t> web_hashes;
  App app;

  Impl(ServerOptions server_options, ModelHandle handle, const Clock& server_clock,
       Executor& server_executor)
      : options(std::move(server_options)),
        model(std::move(handle)),
        clock(server_clock),
        executor(server_executor),
        metrics(model.name),
        ids(options.id_seed != 0 ? options.id_seed : secret_seed()),
        responses(options.data_dir, options.stored_responses_max),
        engine(model.engine, *model.runner, clock, metrics),
        deployments(options.data_dir, engine, clock),
        feed(engine, metrics, clock),
        adapters(model.adapters, engine, clock, options.adapters.limits),
        adapter_folder(options.adapters.folder, adapters),
        app{options, model,           clock, engine,   executor,    metrics,
            ids,     responses,       feed,  adapters, deployments, clock.wall() / kSecond,
            {},      [] { return 0; }} {
    adapter_folder.look_at_start();
    for (const StaticFile& file : options.web) web_hashes.push_back(fnv(file.bytes));
  }

  void handle(std::shared_ptr<HttpExchange> exchange) {
    const HttpRequest& request = exchange->request();
    std::map<std::string, std::string> found;
    const Route* route = find_route(request, found);
    Reply::Setup setup;
    const std::string* asked_id = request.headers.find("x-request-id");
    setup.request_id = asked_id && is_plain(*asked_id) ? *asked_id : ids.make("req_");
    setup.allowed_origin = allowed_origin(request);
    setup.route = route ? route->pattern : "other";
    setup.shape = shape_of(request.path);
    const auto reply = std::make_shared<Reply>(std::move(exchange), std::move(setup), metrics);
    if (request.method == "OPTIONS") return answer_options(*reply);
    if (!route) return answer_unrouted(*reply);
    Call call{app, reply, std::move(found), {}, clock.now()};
    if (!admit(call, *route)) return;
    if (route->place == Place::kIo) return run(*route, call);
    executor.post([this, route, call]() mutable { run(*route, call); });
  }

  // Opening files takes its time: not on the thread that ticks.
  void look_for_adapters() {
    if (options.adapters.folder.empty() || looking.exchange(true)) return;
    executor.post([this] {
      adapter_folder.look();
      looking = false;
    });
  }

  // The handler, at the boundary where errors become answers.
  static void run(const Route& route, Call& call) {
    try {
      route.handler(call);
    } catch (const Error& error) {
      ApiError answer = to_api_error(error);
      if (answer.status == 404 && error.where == "model") answer.code = "model_not_found";
      call.reply->error(answer);
    } catch (const std::exception& error) {
      log::error("request failed id={} route={} error=\"{}\"", call.reply->request_id(),
                 route.pattern, error.what());
      call.reply->error({500,
                         "server_error",
                         "internal error; the log has request id " + call.reply->request_id(),
                         {},
                         "internal_error",
                         {}});
    }
  }

  const Route* find_route(const HttpRequest& request,
                          std::map<std::string, std::string>& found) const {
    const std::string_view asked = request.method;
    const std::string_view method = asked == "HEAD" ? "GET" : asked;
    for (const Route& route : routes) {
      found.clear();
      if (method == route.method && matches(route.pattern, request.path, found)) return &route;
    }
    return nullptr;
  }

  std::string allowed_methods(const std::string& path) const {
    std::string allowed;
    std::map<std::string, std::string> ignored;
    for (const Route& route : routes) {
      if (!matches(route.pattern, path, ignored)) continue;
      allowed += std::string(allowed.empty() ? "" : ", ") + route.method;
    }
    if (allowed.empty() && find_file(path)) allowed = "GET";
    return allowed;
  }

  // Who calls, and whether there is room. False: the answer has been given.
  bool admit(Call& call, const Route& route) {
    call.admin = options.api_keys.empty() && options.admin_keys.empty();
    if (const auto admin = find_tenant(options.admin_keys, key_of(call.reply->request()))) {
      call.tenant = *admin;
      call.admin = true;
    } else if (route.access == Access::kAdmin && !call.admin) {
      refuse(call, "forbidden",
             {403,
              "permission_error",
              "this needs an admin's key; start the server with --admin-key",
              {},
              "forbidden",
              {}});
      return false;
    } else if (route.access == Access::kKey && !options.api_keys.empty()) {
      const auto tenant = find_tenant(options.api_keys, key_of(call.reply->request()));
      if (!tenant) {
        refuse(call, "unauthorized",
               {401,
                "invalid_request_error",
                "no API key, or one that is not known here: send 'Authorization: Bearer KEY'",
                {},
                "invalid_api_key",
                {}});
        return false;
      }
      call.tenant = *tenant;
    }
    if (route.work != Work::kEngine) return true;
    if (app.draining) {
      refuse(call, "draining",
             {503,
              "server_error",
              "the server is draining; ask another one",
              {},
              "draining",
              options.retry_after_s});
      return false;
    }
    // Before the body is parsed: a refusal costs next to nothing.
    const engine::Stats stats = engine.stats();
    if (stats.queued_up_to(deployments.best_class(call.tenant.name)) >=
        model.engine.max_queued_requests) {
      refuse(call, "queue_full",
             {503,
              "server_error",
              fmt::format("max_queued_requests = {} requests wait already; try again later",
                          model.engine.max_queued_requests),
              {},
              "queue_full",
              options.retry_after_s});
      return false;
    }
    auto place = tenants->enter(call.tenant.name, options.tenant_requests_max);
    if (!place) {
      refuse(
          call, "tenant_limit",
          {429,
           "rate_limit_error",
           fmt::format("tenant_requests_max = {} requests of this key are running; try again later",
                       options.tenant_requests_max),
           {},
           "rate_limit_exceeded",
           options.retry_after_s});
      return false;
    }
    call.reply->hold(std::move(place));
    return true;
  }

  void refuse(Call& call, const char* reason, const ApiError& error) {
    metrics.admission_rejections.add({reason});
    call.reply->error(error);
  }

  std::string allowed_origin(const HttpRequest& request) const {
    const std::string* origin = request.headers.find("origin");
    if (!origin) return {};
    for (const std::string& allowed : options.cors_origins) {
      if (allowed == "*" || allowed == *origin) return *origin;
    }
    return {};
  }

  void answer_options(Reply& reply) {
    const std::string allowed = allowed_methods(reply.request().path);
    if (allowed.empty()) return reply.error(not_found(reply.request().path));
    HttpResponse response{204, {{"Allow", allowed + ", OPTIONS"}}, {}};
    if (!allowed_origin(reply.request()).empty()) {
      response.headers.add("Access-Control-Allow-Methods", allowed);
      const std::string* headers = reply.request().headers.find("access-control-request-headers");
      response.headers.add("Access-Control-Allow-Headers",
                           headers ? *headers : "Authorization, Content-Type, X-Request-Id");
      response.headers.add("Access-Control-Max-Age", "600");
    }
    reply.raw(std::move(response));
  }

  void answer_unrouted(Reply& reply) {
    const HttpRequest& request = reply.request();
    if (request.method == "GET" || request.method == "HEAD") {
      if (const StaticFile* file = find_file(request.path)) return answer_file(reply, *file);
    }
    const std::string allowed = allowed_methods(request.path);
    if (allowed.empty()) return reply.error(not_found(request.path));
    const ApiError error = method_not_allowed(request.method, request.path, allowed);
    reply.raw({405,
               {{"Content-Type", "application/json"}, {"Allow", allowed}},
               io::dump_json(error_json(error, shape_of(request.path)))});
  }

  const StaticFile* find_file(std::string_view path) const {
    if (path == "/") path = "/index.html";
    for (const StaticFile& file : options.web) {
      if (file.path == path) return &file;
    }
    return nullptr;
  }

  void answer_file(Reply& reply, const StaticFile& file) {
    const size_t index = static_cast<size_t>(&file - options.web.data());
    const std::string etag = fmt::format("\"{:016x}\"", web_hashes[index]);
    HttpResponse response{200,
                          {{"Content-Type", file.content_type},
                           {"ETag", etag},
                           {"Cache-Control", "no-cache"},
                           {"X-Content-Type-Options", "nosniff"}},
                          {}};
    const std::string* known = reply.request().headers.find("if-none-match");
    if (known && *known == etag) {
      response.status = 304;
    } else {
      response.body = file.bytes;
    }
    reply.raw(std::move(response));
  }
};

Service::Service(ServerOptions options, ModelHandle model, const Clock& clock, Executor& executor)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(model), clock, executor)) {}

Service::~Service() = default;

void Service::handle(std::shared_ptr<HttpExchange> exchange) { impl_->handle(std::move(exchange)); }

HttpResponse Service::refusal(int status, const std::string& text) {
  impl_->metrics.http_requests.add({"transport", "-", std::to_string(status)});
  const ApiError error = transport_error(status, text);
  HttpResponse response{status,
                        {{"Content-Type", "application/json"}},
                        io::dump_json(error_json(error, ErrorShape::kOpenAi))};
  if (error.retry_after_s)
    response.headers.add("Retry-After", std::to_string(*error.retry_after_s));
  return response;
}

EngineLoop& Service::engine() { return impl_->engine; }
AdapterRegistry& Service::adapters() { return impl_->adapters; }

void Service::tick() {
  impl_->feed.tick();
  impl_->deployments.tick();
  impl_->look_for_adapters();
}
bool Service::draining() const { return impl_->app.draining; }

void Service::drain() {
  impl_->app.draining = true;
  impl_->feed.close();
}

void Service::count_connections(std::function<int()> connections) {
  impl_->app.http_connections = std::move(connections);
}

io::Json Call::json_body() const {
  const std::string body = reply->take_body();
  if (body.empty()) {
    throw_error(ErrorCode::kInvalidArgument, {}, "the body is empty: expected a JSON object");
  }
  io::Json json = io::parse_json(body, "");
  if (!json.is_object()) {
    throw_error(ErrorCode::kInvalidArgument, {}, "the body is {}: expected a JSON object",
                brief(json));
  }
  return json;
}

void start_generation(Call& call, GenerationRequest request, std::unique_ptr<Surface> surface) {
  App& app = call.app;
  for (engine::Request& prompt : request.prompts) prompt.adapter = call.adapter;
  if (!place(call, request)) return;
  const auto generation = std::make_shared<Generation>(app.engine, *app.model.codec, app.executor);
  call.reply->on_writable([weak = std::weak_ptr(generation)] {
    if (const auto held = weak.lock()) held->resume();
  });
  const engine::Admission admission =
      generation->start(std::move(request), std::move(surface), call.arrived);
  if (!admission.accepted()) return answer_refusal(app, *call.reply, admission);
  call.reply->on_gone([weak = std::weak_ptr(generation)] {
    if (const auto held = weak.lock()) held->cancel();
  });
}

void answer_refusal(App& app, Reply& reply, const engine::Admission& refusal) {
  app.metrics.admission_rejections.add({engine::to_string(refusal.code)});
  reply.error(to_api_error(refusal, app.options.retry_after_s));
}

std::vector<Route> all_routes() {
  constexpr Access kOpen = Access::kOpen;
  constexpr Access kKey = Access::kKey;
  return {
      {"POST", "/v1/chat/completions", chat_completions, kKey, Place::kWorker, Work::kEngine},
      {"POST", "/v1/completions", completions, kKey, Place::kWorker, Work::kEngine},
      {"POST", "/v1/responses", create_response, kKey, Place::kWorker, Work::kEngine},
      {"GET", "/v1/responses/{id}", get_response, kKey, Place::kWorker, Work::kNone},
      {"DELETE", "/v1/responses/{id}", delete_response, kKey, Place::kWorker, Work::kNone},
      {"POST", "/v1/messages", messages, kKey, Place::kWorker, Work::kEngine},
      {"POST", "/v1/messages/count_tokens", count_message_tokens, kKey, Place::kWorker,
       Work::kNone},
      {"POST", "/v1/embeddings", embeddings, kKey, Place::kWorker, Work::kEngine},
      {"GET", "/v1/models", list_models, kKey, Place::kIo, Work::kNone},
      {"GET", "/v1/models/{id}", get_model, kKey, Place::kIo, Work::kNone},
      {"POST", "/v1/load_lora_adapter", load_lora_adapter, kKey, Place::kWorker, Work::kNone},
      {"POST", "/v1/unload_lora_adapter", unload_lora_adapter, kKey, Place::kWorker, Work::kNone},
      {"GET", "/v1/deployments", list_deployments, kKey, Place::kIo, Work::kNone},
      {"POST", "/v1/deployments", create_deployment, Access::kAdmin, Place::kWorker, Work::kNone},
      {"GET", "/v1/deployments/{id}", get_deployment, kKey, Place::kIo, Work::kNone},
      {"POST", "/v1/deployments/{id}", modify_deployment, Access::kAdmin, Place::kWorker,
       Work::kNone},
      {"PATCH", "/v1/deployments/{id}", modify_deployment, Access::kAdmin, Place::kWorker,
       Work::kNone},
      {"DELETE", "/v1/deployments/{id}", delete_deployment, Access::kAdmin, Place::kWorker,
       Work::kNone},
      {"POST", "/tokenize", tokenize, kKey, Place::kWorker, Work::kNone},
      {"POST", "/detokenize", detokenize, kKey, Place::kWorker, Work::kNone},
      {"GET", "/v1/hearth/stats", stats, kKey, Place::kIo, Work::kNone},
      {"GET", "/health", health, kOpen, Place::kIo, Work::kNone},
      {"GET", "/ready", ready, kOpen, Place::kIo, Work::kNone},
      {"GET", "/version", version, kOpen, Place::kIo, Work::kNone},
      {"GET", "/metrics", metrics, kOpen, Place::kIo, Work::kNone},
  };
}

std::string content_type_of(std::string_view path) {
  static constexpr std::pair<std::string_view, const char*> kTypes[] = {
      {".html", "text/html; charset=utf-8"},
      {".js", "text/javascript; charset=utf-8"},
      {".css", "text/css; charset=utf-8"},
      {".json", "application/json"},
      {".svg", "image/svg+xml"},
      {".png", "image/png"},
      {".ico", "image/x-icon"},
      {".woff2", "font/woff2"},
      {".webmanifest", "application/manifest+json"},
      {".txt", "text/plain; charset=utf-8"},
  };
  for (const auto& [ending, type] : kTypes) {
    if (path.ends_with(ending)) return type;
  }
  return "application/octet-stream";
}

}  // namespace hearth::serve
