// From a request to its contract: which deployment serves it, and what the answer's headers say.
#include <algorithm>

#include "serve/app.h"
#include "serve/deployments/deployments.h"

namespace hearth::serve {
namespace {

TierWish wish_of(engine::ServiceClass asked) {
  switch (asked) {
    case engine::ServiceClass::kProvisioned:
      return TierWish::kBest;
    case engine::ServiceClass::kStandard:
      return TierWish::kStandard;
    case engine::ServiceClass::kBatch:
      return TierWish::kBatch;
  }
  return TierWish::kBest;
}

int64_t milliseconds_up(Nanos duration) { return (duration + kMillisecond - 1) / kMillisecond; }

// OpenAI's way: tokens are units of work here, and a reset is a duration.
void write_headers(Reply& reply, const Placement& placement) {
  reply.set_header("x-hearth-deployment", placement.name);
  if (!placement.provisioned) return;
  reply.set_header("x-hearth-utilization",
                   fmt::format("{:.1f}%", placement.utilization_permille / 10.0));
  reply.set_header("x-ratelimit-limit-tokens", std::to_string(placement.limit_units));
  reply.set_header("x-ratelimit-remaining-tokens", std::to_string(placement.remaining_units));
  reply.set_header("x-ratelimit-reset-tokens",
                   fmt::format("{}ms", milliseconds_up(placement.full_in)));
  if (placement.spilled) reply.set_header("x-hearth-spillover", "standard");
}

void refuse(Call& call, const Placement& placement) {
  const int64_t wait_ms = std::max<int64_t>(milliseconds_up(placement.retry_after), 1);
  call.reply->set_header("retry-after-ms", std::to_string(wait_ms));
  call.app.metrics.admission_rejections.add({"deployment_rate"});
  call.reply->error(
      {429,
       "rate_limit_error",
       fmt::format("deployment '{}' is at {:.1f} % of its purchased rate; try again in {} ms, or "
                   "with another deployment",
                   placement.name, placement.utilization_permille / 10.0, wait_ms),
       {},
       "rate_limit_exceeded",
       static_cast<int>(std::min<int64_t>((wait_ms + 999) / 1000, 86'400))});
}

}  // namespace

std::string tenant_seen_by(const Call& call) {
  return call.admin ? std::string() : call.tenant.name;
}

bool place(Call& call, GenerationRequest& request) {
  const TierWish wish = wish_of(request.prompts.front().service_class);
  Placement placement =
      call.app.deployments.place(call.tenant.name, call.model, wish, request.prompts);
  if (!placement.name.empty()) write_headers(*call.reply, placement);
  if (placement.retry_after > 0) {
    refuse(call, placement);
    return false;
  }
  for (engine::Request& prompt : request.prompts) {
    prompt.service_class = placement.service_class;
    prompt.deployment = placement.deployment;
  }
  request.meters = std::move(placement.meters);
  return true;
}

}  // namespace hearth::serve
