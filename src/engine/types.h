// Words that the brain and the hands share. Integers only: nothing here knows a tensor.
#pragma once

#include <cstdint>

namespace hearth::engine {

using TokenId = int32_t;
using BlockId = int32_t;
using RequestId = uint64_t;
using AdapterId = int32_t;  // 0 is the base model
using PageId = int32_t;     // of the memory that adapters lie in

constexpr int kBlockTokens = 16;  // tokens in one block of the KV cache
constexpr AdapterId kBaseModel = 0;
constexpr BlockId kNoBlock = -1;

}  // namespace hearth::engine
