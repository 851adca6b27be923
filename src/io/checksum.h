// A checksum that finds damage at the speed of memory. Not against somebody who wants to deceive.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace hearth::io {

// Any change inside one 8-byte word changes it for certain, any other change almost surely.
uint64_t checksum(std::span<const std::byte> bytes, uint64_t seed = 0);

}  // namespace hearth::io
