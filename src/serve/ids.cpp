#include "serve/ids.h"

#include <fmt/format.h>
#include <openssl/rand.h>

#include "base/check.h"

namespace hearth::serve {

uint64_t secret_seed() {
  uint64_t seed = 0;
  CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(&seed), sizeof seed) == 1,
        "the operating system gives no random bytes");
  return seed;
}

uint64_t Ids::number() {
  const std::lock_guard lock(mutex_);
  return random_.next();
}

std::string Ids::make(const std::string& prefix) {
  return fmt::format("{}{:016x}{:08x}", prefix, number(), static_cast<uint32_t>(number()));
}

}  // namespace hearth::serve
