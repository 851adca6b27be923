// A surface that tells another one everything, and writes down what was used before it is done.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "serve/generation.h"
#include "serve/tenants/tenant_store.h"
#include "serve/tenants/usage_store.h"

namespace hearth::serve {

struct App;
class Reply;

// Header of answers that do not stream: the work that they were.
inline constexpr const char* kWorkHeader = "x-hearth-ptu-minutes";

// Who pays, and what was reserved for it.
struct Bill {
  UsageLabels labels;
  TenantLimits limits;
  int64_t reserved = 0;
};

UsageCounts counts_of(const Totals& totals);

// Without a bill the books are somebody else's, and only the header is written.
std::unique_ptr<Surface> metered(App& app, std::shared_ptr<Reply> reply, std::optional<Bill> bill,
                                 std::unique_ptr<Surface> inner);

}  // namespace hearth::serve
