// GET /v1/hearth/status: how the server is, in one answer. What /metrics has for programs that
// draw, for people and for `hearth top`.
#include "io/json.h"
#include "serve/app.h"
#include "serve/stats_feed.h"

namespace hearth::serve {
namespace {

using io::Json;

Json by_label(const LabeledCounter& counter) {
  Json out = Json::object();
  for (const auto& [values, count] : counter.values()) out[values.front()] = count;
  return out;
}

Json requests_json(const engine::Stats& stats) {
  return {{"running", stats.running},
          {"waiting", stats.waiting + stats.waiting_siblings},
          {"waiting_for_adapters", stats.waiting_adapters},
          {"queued", stats.queued_requests}};
}

Json cache_json(const engine::Stats& stats) {
  return {{"block_tokens", engine::kBlockTokens},
          {"blocks", stats.blocks_total},
          {"blocks_used", stats.blocks_used},
          {"blocks_cached", stats.blocks_cached}};
}

Json adapters_json(const engine::AdapterStats& stats, const AdapterTiers& tiers) {
  return {{"memory", stats.resident},
          {"loading", stats.loading},
          {"mapped", tiers.mapped},
          {"stored", tiers.stored},
          {"running", stats.used},
          {"pages", stats.pages_total},
          {"pages_taken", stats.pages_taken},
          {"loads", stats.loads},
          {"evictions", stats.evicted_for_room}};
}

Json tokens_json(const engine::Stats& stats) {
  return {{"prompt", stats.prompt_tokens_computed + stats.prompt_tokens_cached},
          {"cached", stats.prompt_tokens_cached},
          {"generated", stats.generation_tokens},
          {"preemptions", stats.preemptions}};
}

}  // namespace

void status(Call& call) {
  App& app = call.app;
  const engine::Stats stats = app.engine.stats();
  call.reply->json(200, {{"object", "status"},
                         {"model", app.model.name},
                         {"version", app.options.version},
                         {"started_at", app.created_s},
                         {"ready", !app.draining},
                         {"healthy", app.engine.healthy()},
                         {"connections", app.http_connections()},
                         {"requests", requests_json(stats)},
                         {"kv_cache", cache_json(stats)},
                         {"adapters", adapters_json(stats.adapters, app.adapters.tiers())},
                         {"tokens", tokens_json(stats)},
                         {"finished", by_label(app.metrics.request_success)},
                         {"rejections", by_label(app.metrics.admission_rejections)},
                         {"streams_cut", by_label(app.metrics.streams_cut)},
                         {"live", app.feed.latest()}});
}

}  // namespace hearth::serve
