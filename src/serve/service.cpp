#include "serve/service.h"

#include <algorithm>
#include <mutex>

#include "base/error.h"
#include "base/log.h"
#include "io/json.h"
#include "serve/adapter_folder.h"
#include "serve/app.h"
#include "serve/batches/internal_exchange.h"
#include "serve/deployments/deployments.h"
#include "serve/fields.h"
#include "serve/response_store.h"
#include "serve/services.h"
#include "serve/stats_feed.h"
#include "serve/tenants/gate.h"

namespace hearth::serve {

using transport::HttpExchange;
using transport::HttpRequest;
using transport::HttpResponse;

namespace {

constexpr size_t kRequestIdMax = 128;
constexpr uint64_t kFormBytes = 1 << 20;       // what a form has besides its file
constexpr int32_t kBatchPriority = 2'000'000;  // behind everything that a client may ask for

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

bool is_plain(const std::string& id) {
  return !id.empty() && id.size() <= kRequestIdMax &&
         std::all_of(id.begin(), id.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
}

ErrorShape shape_of(const std::string& path) {
  return path.starts_with("/v1/messages") ? ErrorShape::kAnthropic : ErrorShape::kOpenAi;
}

}  // namespace

struct Service::Impl {
  const ServerOptions options;
  const ModelHandle model;
  const Clock& clock;
  Executor& executor;
  Executor& background;
  Metrics metrics;
  Ids ids;
  ResponseStore responses;
  EngineLoop engine;
  Deployments deployments;
  StatsFeed feed;
  AdapterRegistry adapters;
  AdapterFolder adapter_folder;
  Services services;
  std::atomic<bool> looking{false};  // into the folder
  std::atomic<bool> ticking{false};  // the services
  const std::vector<Route> routes = all_routes();
  const transport::StaticFiles web;
  App app;

  Impl(ServerOptions server_options, ModelHandle handle, const Clock& server_clock,
       Executor& server_executor, Executor& background_executor)
      : options(std::move(server_options)),
        model(std::move(handle)),
        clock(server_clock),
        executor(server_executor),
        background(background_executor),
        metrics(model.name),
        ids(options.id_seed != 0 ? options.id_seed : secret_seed()),
        responses(options.data_dir, options.stored_responses_max),
        engine(model.engine, *model.runner, clock, metrics, executor, model.drafter),
        deployments(options.data_dir, engine, clock),
        feed(engine, metrics, clock),
        adapters(model.adapters, engine, clock, options.adapters.limits),
        adapter_folder(options.adapters.folder, adapters),
        services(options, clock),
        web(options.web),
        app{options,
            model,
            clock,
            engine,
            executor,
            metrics,
            ids,
            responses,
            feed,
            adapters,
            deployments,
            services,
            clock.wall() / kSecond,
            {},
            [] { return 0; }} {
    services.batch_runner = std::make_shared<BatchRunner>(BatchRunner::House{
        services.batches, services.files, background, clock, ids, options.services, model.name,
        [this](const Batch& batch, HttpRequest request, InternalExchange::Done done) {
          return send_for(batch, std::move(request), std::move(done));
        },
        [this] { return room_for_batches(); }});
    services.tuning_runner = std::make_shared<TuningRunner>(
        TuningRunner::House{services.tuning, services.files, adapters, background, clock, ids,
                            options.services, options.data_dir, options.trainer});
    adapter_folder.look_at_start();
    serve_kept_adapters();
  }

  // Whoever still waits is let go while the services are there.
  ~Impl() { engine.stop(); }

  void serve_kept_adapters() {
    for (const ShelvedAdapter& kept : services.shelf.all()) {
      try {
        if (!kept.has_own_files()) require_in_lora_dir(kept);
        adapters.load(kept.owner, kept.name, kept.folder);
      } catch (const Error& error) {
        log::warn("adapter not served name={} folder={} error=\"{}\"", kept.name, kept.folder,
                  error.text);
      }
    }
  }

  // It stays remembered: the folder may come back, and unload_lora_adapter forgets it.
  void require_in_lora_dir(const ShelvedAdapter& kept) const {
    const std::string tenant = kept.owner.empty() ? Tenant().name : kept.owner;
    if (folder_inside(options.adapters.folder, tenant, kept.folder) == kept.folder) return;
    throw_error(ErrorCode::kNotFound, "", "the folder is gone from --lora-dir '{}'",
                options.adapters.folder);
  }

  // Only while nobody else is there.
  int64_t room_for_batches() const {
    if (app.draining || services.counts->total() > 0) return 0;
    return options.services.batch_requests_at_once;
  }

  BatchRunner::GiveUp send_for(const Batch& batch, HttpRequest request,
                               InternalExchange::Done done) {
    const auto exchange = std::make_shared<InternalExchange>(std::move(request), std::move(done));
    std::map<std::string, std::string> found;
    const Route* route = find_route(exchange->request(), found);
    const auto caller = services.keys.acting_for({}, batch.project);
    BatchRunner::GiveUp give_up = [weak = std::weak_ptr(exchange)] {
      if (const auto held = weak.lock()) held->close();
    };
    if (!route || !caller) {
      exchange->respond({404, {}, {}});
      return give_up;
    }
    Reply::Setup setup{ids.make("req_"), {}, route->pattern, ErrorShape::kOpenAi};
    const auto reply = std::make_shared<Reply>(exchange, std::move(setup), metrics);
    Call call{app, reply, std::move(found), caller->tenant, clock.now(), *caller, Origin::kBatch};
    if (admit(call, *route)) executor.post([route, call]() mutable { run(*route, call); });
    return give_up;
  }

  // A large body of somebody who may send one: the others are refused before it has come.
  std::optional<transport::BodyPlan> plan_body(const HttpRequest& head) {
    const std::string& folder = services.files.spool_folder();
    std::map<std::string, std::string> found;
    const Route* route = find_route(head, found);
    if (!route || route->place != Place::kBackground || folder.empty()) return std::nullopt;
    if (!services.keys.identify(key_of(head), clock.wall() / kSecond)) return std::nullopt;
    return transport::BodyPlan{options.services.file_bytes_max + kFormBytes, folder};
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
    Call call{app, reply, std::move(found), {}, clock.now(), {}, Origin::kOnline};
    if (!admit(call, *route)) return;
    if (route->place == Place::kIo) return run(*route, call);
    Executor& place = route->place == Place::kBackground ? background : executor;
    place.post([route, call]() mutable { run(*route, call); });
  }

  // Opening files takes its time: not on the thread that ticks.
  void look_for_adapters() {
    if (options.adapters.folder.empty() || looking.exchange(true)) return;
    executor.post([this] {
      adapter_folder.look();
      looking = false;
    });
  }

  void tick_services() {
    if (ticking.exchange(true)) return;
    executor.post([this] {
      services.tick(clock.wall() / kSecond);
      ticking = false;
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
    if (allowed.empty() && web.has(path)) allowed = "GET";
    return allowed;
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
    if (auto file = web.answer(request)) return reply.raw(std::move(*file));
    const std::string allowed = allowed_methods(request.path);
    if (allowed.empty()) return reply.error(not_found(request.path));
    const ApiError error = method_not_allowed(request.method, request.path, allowed);
    reply.raw({405,
               {{"Content-Type", "application/json"}, {"Allow", allowed}},
               io::dump_json(error_json(error, shape_of(request.path)))});
  }
};

Service::Service(ServerOptions options, ModelHandle model, const Clock& clock, Executor& executor,
                 Executor& background)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(model), clock, executor,
                                   background)) {}

std::optional<transport::BodyPlan> Service::plan_body(const HttpRequest& head) {
  return impl_->plan_body(head);
}

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
  impl_->tick_services();
  impl_->look_for_adapters();
}
bool Service::draining() const { return impl_->app.draining; }

void Service::drain() {
  impl_->app.draining = true;
  impl_->services.batch_runner->stop();
  impl_->services.tuning_runner->stop();
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
  surface = meter(call, request, std::move(surface));
  if (!surface) return;
  for (engine::Request& prompt : request.prompts) {
    prompt.adapter = call.adapter;
    if (call.origin == Origin::kOnline) continue;
    prompt.priority = kBatchPriority;
    prompt.service_class = engine::ServiceClass::kBatch;
  }
  if (!place(call, request)) return;
  request.prices = app.engine.costs().prices;
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

std::string owner_of(const Call& call) {
  return call.app.services.keys.open() ? std::string(kEverybody) : call.tenant.name;
}

}  // namespace hearth::serve
