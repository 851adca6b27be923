#include "serve/tenants/gate.h"

#include <algorithm>

#include "io/json.h"
#include "serve/app.h"
#include "serve/deployments/deployments.h"
#include "serve/services.h"
#include "serve/tenants/metered_surface.h"

namespace hearth::serve {
namespace {

using transport::HttpRequest;

// What a request without a limit is taken to generate, until it is known.
constexpr int64_t kGuessedTokens = 256;

void refuse(Call& call, const char* reason, const ApiError& error) {
  call.app.metrics.admission_rejections.add({reason});
  call.reply->error(error);
}

void refuse_forbidden(Call& call, const std::string& message) {
  refuse(call, "forbidden", {403, "permission_error", message, {}, "forbidden", {}});
}

// Notes in the call who calls.
bool authenticate(Call& call, const Route& route) {
  KeyRing& keys = call.app.services.keys;
  auto caller = keys.identify(key_of(call.reply->request()), call.now_s());
  if (!caller) {
    refuse(call, "unauthorized",
           {401,
            "invalid_request_error",
            "no API key, or one that is not known here: send 'Authorization: Bearer KEY'",
            {},
            "invalid_api_key",
            {}});
    return false;
  }
  const std::string* project = call.reply->request().headers.find("openai-project");
  if (project && !project->empty() && caller->role == Role::kAdmin) {
    caller = keys.acting_for(*caller, *project);
    if (!caller) {
      refuse(call, "unauthorized",
             {404,
              "invalid_request_error",
              "there is no project '" + *project + "'",
              "OpenAI-Project",
              "project_not_found",
              {}});
      return false;
    }
  }
  call.caller = *caller;
  call.tenant = caller->tenant;
  call.admin = caller->role == Role::kAdmin;
  if (route.access == Access::kAdmin && caller->role != Role::kAdmin) {
    refuse_forbidden(call, "only an admin's key may do this");
    return false;
  }
  if (!may(*caller, route.scope)) {
    refuse_forbidden(call, fmt::format("this key lacks the scope '{}'", route.scope));
    return false;
  }
  return true;
}

bool engine_has_room(Call& call) {
  App& app = call.app;
  if (app.draining) {
    refuse(call, "draining",
           {503,
            "server_error",
            "the server is draining; ask another one",
            {},
            "draining",
            app.options.retry_after_s});
    return false;
  }
  const auto best = call.origin == Origin::kBatch ? engine::ServiceClass::kBatch
                                                  : app.deployments.best_class(call.tenant.name);
  if (app.engine.stats().queued_up_to(best) < app.model.engine.max_queued_requests) return true;
  refuse(call, "queue_full",
         {503,
          "server_error",
          fmt::format("max_queued_requests = {} requests wait already; try again later",
                      app.model.engine.max_queued_requests),
          {},
          "queue_full",
          app.options.retry_after_s});
  return false;
}

// As OpenAI writes them: "120ms", "6m0s".
std::string duration_text(Nanos time) {
  if (time < kSecond) return fmt::format("{}ms", (time + kMillisecond - 1) / kMillisecond);
  const int64_t seconds = (time + kSecond - 1) / kSecond;
  if (seconds < 60) return fmt::format("{}s", seconds);
  if (seconds < 3600) return fmt::format("{}m{}s", seconds / 60, seconds % 60);
  return fmt::format("{}h{}m{}s", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

void tell_allowance(Reply& reply, const char* what, const Allowance& allowance) {
  if (allowance.limit == 0) return;
  reply.set_header(fmt::format("x-ratelimit-limit-{}", what), std::to_string(allowance.limit));
  reply.set_header(fmt::format("x-ratelimit-remaining-{}", what),
                   std::to_string(allowance.remaining));
  reply.set_header(fmt::format("x-ratelimit-reset-{}", what), duration_text(allowance.full_in));
}

// What ran out, as a sentence with the name of its limit.
std::string shortage_text(const RateVerdict& verdict, const TenantLimits& limits) {
  switch (verdict.shortage) {
    case Shortage::kRequests:
      return fmt::format("requests_per_minute = {} of this project are used up",
                         limits.requests_per_minute);
    case Shortage::kTokens:
      return fmt::format("tokens_per_minute = {} of this project are used up",
                         limits.tokens_per_minute);
    case Shortage::kTokensOfTheDay:
      return fmt::format("tokens_per_day = {} of this project are used up", limits.tokens_per_day);
    case Shortage::kNone:
      break;
  }
  return {};
}

// False: the answer has been given.
bool heed(Call& call, const RateVerdict& verdict) {
  tell_allowance(*call.reply, "requests", verdict.requests);
  tell_allowance(*call.reply, "tokens", verdict.tokens);
  if (verdict.shortage == Shortage::kNone) return true;
  const Nanos wait = std::max(verdict.retry_after, kMillisecond);
  call.reply->set_header("retry-after-ms",
                         std::to_string((wait + kMillisecond - 1) / kMillisecond));
  refuse(call, "rate_limit",
         {429,
          verdict.shortage == Shortage::kRequests ? "requests" : "tokens",
          fmt::format("{}; try again in {}", shortage_text(verdict, call.caller.limits),
                      duration_text(wait)),
          {},
          "rate_limit_exceeded",
          static_cast<int>((wait + kSecond - 1) / kSecond)});
  return false;
}

bool take_place(Call& call) {
  const int64_t own = call.caller.limits.requests_at_once;
  const int64_t limit = own > 0 ? own : call.app.options.tenant_requests_max;
  auto place = call.app.services.counts->enter(call.tenant.name, limit);
  if (place) {
    call.reply->hold(std::move(place));
    return true;
  }
  refuse(call, "tenant_limit",
         {429,
          "rate_limit_error",
          fmt::format("tenant_requests_max = {} requests of this project are running; try again "
                      "later",
                      limit),
          {},
          "rate_limit_exceeded",
          call.app.options.retry_after_s});
  return false;
}

int64_t tokens_at_most(const GenerationRequest& request) {
  int64_t tokens = 0;
  for (const engine::Request& prompt : request.prompts) {
    const int64_t each = prompt.max_tokens < 0 ? kGuessedTokens : prompt.max_tokens;
    tokens += std::ssize(prompt.prompt) + each * prompt.choices;
  }
  return tokens;
}

}  // namespace

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

std::shared_ptr<void> TenantCounts::enter(const std::string& tenant, int64_t limit) {
  const std::lock_guard lock(mutex_);
  int64_t& count = counts_[tenant];
  if (limit > 0 && count >= limit) return nullptr;
  ++count;
  ++total_;
  return std::shared_ptr<void>(this,
                               [self = shared_from_this(), tenant](void*) { self->leave(tenant); });
}

void TenantCounts::leave(const std::string& tenant) {
  const std::lock_guard lock(mutex_);
  --total_;
  if (--counts_[tenant] == 0) counts_.erase(tenant);
}

bool admit(Call& call, const Route& route) {
  // Items of a batch were let in with their batch.
  const bool let_in = call.origin == Origin::kBatch;
  if (!let_in && route.access != Access::kOpen && !authenticate(call, route)) return false;
  if (route.work != Work::kEngine) return true;
  if (!engine_has_room(call)) return false;
  if (let_in) return true;
  const RateVerdict verdict =
      call.app.services.limiter.take_request(call.tenant.name, call.caller.limits);
  return heed(call, verdict) && take_place(call);
}

std::unique_ptr<Surface> meter(Call& call, const GenerationRequest& request,
                               std::unique_ptr<Surface> surface) {
  std::optional<Bill> bill;
  // The books of a batch are written together with its answers.
  if (call.origin == Origin::kOnline) {
    const int64_t reserved = tokens_at_most(request);
    const RateVerdict verdict =
        call.app.services.limiter.reserve(call.tenant.name, call.caller.limits, reserved);
    if (!heed(call, verdict)) return nullptr;
    const bool base = call.adapter == engine::kBaseModel;
    bill = Bill{{call.tenant.name, call.caller.key_id, call.app.model.name,
                 base ? std::string() : call.model, "online"},
                call.caller.limits,
                reserved};
  }
  return metered(call.app, call.reply, std::move(bill), std::move(surface));
}

}  // namespace hearth::serve
