// Names that must be hard to guess and never come twice: ids of answers, seeds nobody asked for.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>

#include "base/random.h"

namespace hearth::serve {

// A seed from the operating system.
uint64_t secret_seed();

// Thread-safe. The same seed gives the same ids, for tests.
class Ids {
 public:
  explicit Ids(uint64_t seed) : random_(seed) {}
  // "chatcmpl-" and 24 hexadecimal digits, say.
  std::string make(const std::string& prefix);
  uint64_t number();

 private:
  std::mutex mutex_;
  Random random_;
};

}  // namespace hearth::serve
