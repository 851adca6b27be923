// What every route works with, and the table of routes.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "io/json_fwd.h"
#include "serve/adapter_registry.h"
#include "serve/api_keys.h"
#include "serve/engine_loop.h"
#include "serve/executor.h"
#include "serve/generation.h"
#include "serve/ids.h"
#include "serve/metrics.h"
#include "serve/model_handle.h"
#include "serve/reply.h"
#include "serve/server_options.h"
#include "serve/tenants/key_ring.h"

namespace hearth::serve {

class Deployments;
class ResponseStore;
class StatsFeed;
struct Services;

struct App {
  const ServerOptions& options;
  const ModelHandle& model;
  const Clock& clock;
  EngineLoop& engine;
  Executor& executor;
  Metrics& metrics;
  Ids& ids;
  ResponseStore& responses;
  StatsFeed& feed;
  AdapterRegistry& adapters;
  Deployments& deployments;
  Services& services;
  int64_t created_s = 0;  // when the model was loaded
  std::atomic<bool> draining{false};
  std::function<int()> http_connections;
};

// Where a call comes from.
enum class Origin : uint8_t {
  kOnline,  // somebody waits for it
  kBatch,   // an item of a batch: served when nobody else is
};

// One call of a route.
struct Call {
  App& app;
  std::shared_ptr<Reply> reply;
  std::map<std::string, std::string> path;  // by the names in the pattern
  Tenant tenant;
  Nanos arrived = 0;
  Caller caller;
  Origin origin = Origin::kOnline;
  bool admin = false;  // may see and change what belongs to others
  // What choose_model() chose.
  std::string model;
  engine::AdapterId adapter = engine::kBaseModel;

  // Parses the body. Throws Error{kInvalidArgument} naming line and column.
  io::Json json_body() const;
  int64_t now_s() const { return app.clock.wall() / kSecond; }
};

enum class Access { kOpen, kKey, kAdmin };
enum class Place {
  kIo,          // quick: answered on the I/O thread, whatever else goes on
  kWorker,      // parses, tokenises, touches files
  kBackground,  // may take seconds: copies uploads
};
enum class Work { kNone, kEngine };  // kEngine: refused while the server drains

struct Route {
  const char* method;
  const char* pattern;  // "/v1/models/{id}"
  void (*handler)(Call& call);
  Access access = Access::kKey;
  Place place = Place::kWorker;
  Work work = Work::kNone;
  const char* scope = "";  // that a key needs, if it is limited to some
};

// In the order of docs/api.md.
std::vector<Route> all_routes();

// Whose the adapters are that this call makes: on a server without keys, everybody's.
std::string owner_of(const Call& call);

void chat_completions(Call& call);
void completions(Call& call);
void create_response(Call& call);
void get_response(Call& call);
void delete_response(Call& call);
void embeddings(Call& call);
void list_models(Call& call);
void get_model(Call& call);
void load_lora_adapter(Call& call);
void unload_lora_adapter(Call& call);
void tokenize(Call& call);
void detokenize(Call& call);
void messages(Call& call);
void count_message_tokens(Call& call);
void health(Call& call);
void ready(Call& call);
void version(Call& call);
void metrics(Call& call);
void stats(Call& call);
void status(Call& call);
void list_deployments(Call& call);
void create_deployment(Call& call);
void get_deployment(Call& call);
void modify_deployment(Call& call);
void delete_deployment(Call& call);

// The tenant whose things a call may see; empty: everybody's.
std::string tenant_seen_by(const Call& call);
void list_projects(Call& call);
void create_project(Call& call);
void get_project(Call& call);
void modify_project(Call& call);
void archive_project(Call& call);
void list_rate_limits(Call& call);
void modify_rate_limit(Call& call);
void list_api_keys(Call& call);
void create_api_key(Call& call);
void get_api_key(Call& call);
void delete_api_key(Call& call);
void list_admin_api_keys(Call& call);
void create_admin_api_key(Call& call);
void get_admin_api_key(Call& call);
void delete_admin_api_key(Call& call);
void usage_of_completions(Call& call);
void list_audit_logs(Call& call);
void create_file(Call& call);
void list_files(Call& call);
void get_file(Call& call);
void delete_file(Call& call);
void get_file_content(Call& call);
void create_batch(Call& call);
void list_batches(Call& call);
void get_batch(Call& call);
void cancel_batch(Call& call);
void create_tuning_job(Call& call);
void list_tuning_jobs(Call& call);
void get_tuning_job(Call& call);
void cancel_tuning_job(Call& call);
void pause_tuning_job(Call& call);
void resume_tuning_job(Call& call);
void list_tuning_events(Call& call);
void list_tuning_checkpoints(Call& call);
void create_adapter(Call& call);
void list_adapters(Call& call);
void delete_adapter(Call& call);
void delete_model(Call& call);
void whoami(Call& call);

// Notes in the call which model the request means: the base, also when it is silent, or an adapter
// that its tenant may use. Throws Error{kNotFound, "model"} for everything else.
void choose_model(Call& call, const std::string& asked);

// Which of the tenant's contracts the prompts are served by: notes it in them and in the headers of
// the answer. False: over the purchased rate; the answer has been given.
bool place(Call& call, GenerationRequest& request);

// Starts a generation of the chosen model whose news goes to `surface`, cancels it when the client
// goes, and answers a refusal.
void start_generation(Call& call, GenerationRequest request, std::unique_ptr<Surface> surface);
// The answer to a refusal, with its count.
void answer_refusal(App& app, Reply& reply, const engine::Admission& refusal);

}  // namespace hearth::serve
