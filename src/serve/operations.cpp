// Health, readiness, version, metrics, live numbers.
#include "io/json.h"
#include "serve/app.h"
#include "serve/deployments/deployments.h"
#include "serve/stats_feed.h"

namespace hearth::serve {

using io::Json;

// The process lives and its I/O threads turn; says nothing of the engine, which may be in the
// middle of a long step.
void health(Call& call) {
  const bool healthy = call.app.engine.healthy();
  call.reply->json(healthy ? 200 : 503, {{"status", healthy ? "ok" : "the last step failed"}});
}

void ready(Call& call) {
  if (!call.app.draining) return call.reply->json(200, {{"status", "ready"}});
  call.reply->error({503,
                     "server_error",
                     "the server is draining",
                     {},
                     "draining",
                     call.app.options.retry_after_s});
}

void version(Call& call) { call.reply->json(200, {{"version", call.app.options.version}}); }

void metrics(Call& call) {
  App& app = call.app;
  call.reply->raw(
      {200,
       {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}},
       app.metrics.expose(app.engine.stats(), app.http_connections(), app.engine.healthy(),
                          app.engine.config(), app.adapters.tiers()) +
           app.metrics.expose_deployments(app.deployments.list({}), app.deployments.capacity())});
}

void stats(Call& call) {
  call.reply->on_writable([] {});
  call.app.feed.subscribe(call.reply);
  call.reply->on_gone([&feed = call.app.feed, reply = std::weak_ptr(call.reply)] {
    if (const auto held = reply.lock()) feed.unsubscribe(held.get());
  });
}

}  // namespace hearth::serve
