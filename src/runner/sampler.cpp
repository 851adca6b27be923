#include "runner/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/random.h"
#include "runner/logit_row.h"

namespace hearth::runner {
namespace {

using engine::SampledToken;
using engine::SamplingParams;
using engine::TokenId;
using Candidate = SamplerScratch::Candidate;

constexpr float kNever = -std::numeric_limits<float>::infinity();
constexpr float kGreedyBelow = 1e-5f;  // a temperature under it is greedy, as in vLLM
constexpr double kPenaltyLogMax = 80;  // exp(80) is beyond every logit and still finite in f32
constexpr size_t kBuckets = 1024;
constexpr double kBelow = 0.999;  // room for the rounding of weights and their sum
constexpr float kCostRange = 64;  // nats; what costs more weighs nothing

// Higher logits first; of equal ones the lower id.
bool better(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

bool cheaper(const Candidate& a, const Candidate& b) {
  return a.cost != b.cost ? a.cost < b.cost : better(a, b);
}

// The `k` best of the tokens whose logit is at least `floor`, best first.
void select_best(std::span<const float> logits, size_t k, float floor,
                 std::vector<Candidate>& out) {
  out.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!(logits[i] >= floor) || logits[i] == kNever) continue;
    const Candidate candidate{static_cast<TokenId>(i), logits[i]};
    if (out.size() < k) {
      out.push_back(candidate);
      if (out.size() == k) std::make_heap(out.begin(), out.end(), better);
    } else if (better(candidate, out.front())) {
      std::pop_heap(out.begin(), out.end(), better);
      out.back() = candidate;
      std::push_heap(out.begin(), out.end(), better);
    }
  }
  std::sort(out.begin(), out.end(), better);
}

// --- what changes the logits --------------------------------------------------------------------

void penalise_repetition(std::span<float> logits, const SamplingParams& params,
                         const TokenCounts& counts) {
  for (const auto& [token, count] : counts.counts()) {
    float& logit = logits[static_cast<size_t>(token)];
    if (params.repetition_penalty != 1.0f) {
      logit = logit > 0 ? logit / params.repetition_penalty : logit * params.repetition_penalty;
    }
    if (count.output == 0) continue;
    logit -= params.frequency_penalty * static_cast<float>(count.output) + params.presence_penalty;
  }
}

// z[i] = how many tokens, read backwards from position i, equal the end of the text read backwards
// (Gusfield's Z algorithm on the reversed text).
void match_lengths(std::span<const TokenId> tokens, std::vector<int32_t>& z) {
  const int32_t n = static_cast<int32_t>(tokens.size());
  const auto at = [&](int32_t i) { return tokens[static_cast<size_t>(n - 1 - i)]; };
  z.assign(static_cast<size_t>(n), 0);
  int32_t left = 0;
  int32_t right = 0;
  for (int32_t i = 1; i < n; ++i) {
    int32_t length = i < right ? std::min(right - i, z[static_cast<size_t>(i - left)]) : 0;
    while (i + length < n && at(length) == at(i + length)) ++length;
    z[static_cast<size_t>(i)] = length;
    if (i + length > right) {
      left = i;
      right = i + length;
    }
  }
}

// Tokens since the last breaker: a repetition is not followed across one.
int32_t tokens_since_breaker(std::span<const TokenId> tokens,
                             const std::vector<TokenId>& breakers) {
  int32_t length = 0;
  for (auto it = tokens.rbegin(); it != tokens.rend(); ++it, ++length) {
    if (std::find(breakers.begin(), breakers.end(), *it) != breakers.end()) break;
  }
  return length;
}

// DRY ("don't repeat yourself"): a token that would lengthen a repetition of `length` tokens loses
// multiplier * base^(length - allowed).
void penalise_echo(std::span<float> logits, std::span<const TokenId> tokens,
                   const SamplingParams& params, std::vector<int32_t>& z) {
  if (params.dry_range >= 0) {
    tokens = tokens.last(std::min(tokens.size(), static_cast<size_t>(params.dry_range)));
  }
  const int32_t reach = tokens_since_breaker(tokens, params.dry_breakers);
  if (reach < params.dry_allowed_length) return;
  match_lengths(tokens, z);
  // The longest repetition that each token would lengthen.
  std::unordered_map<TokenId, int32_t> longest;
  for (size_t i = 1; i < z.size(); ++i) {
    const int32_t length = std::min(z[i], reach);
    if (length < params.dry_allowed_length) continue;
    int32_t& best = longest[tokens[tokens.size() - i]];
    best = std::max(best, length);
  }
  const double log_base = std::log(std::max(params.dry_base, 1.0f));
  for (const auto& [token, length] : longest) {
    const double power = std::min(log_base * (length - params.dry_allowed_length), kPenaltyLogMax);
    logits[static_cast<size_t>(token)] -=
        params.dry_multiplier * static_cast<float>(std::exp(power));
  }
}

bool has_penalties(const SamplingParams& params) {
  return params.repetition_penalty != 1.0f || params.presence_penalty != 0.0f ||
         params.frequency_penalty != 0.0f;
}

void apply_constraint(std::span<float> logits, engine::TokenConstraint& constraint,
                      std::vector<uint32_t>& allowed) {
  allowed.assign((logits.size() + 31) / 32, 0);
  constraint.fill(allowed);
  for (size_t i = 0; i < logits.size(); ++i) {
    if ((allowed[i / 32] >> (i % 32) & 1u) == 0) logits[i] = kNever;
  }
}

void edit_logits(const SampleInput& in, TokenCounts& counts, SamplerScratch& scratch) {
  const SamplingParams& params = in.params;
  for (const auto& [token, bias] : params.logit_bias) {
    if (token >= 0 && static_cast<size_t>(token) < in.logits.size()) {
      in.logits[static_cast<size_t>(token)] += bias;
    }
  }
  if (has_penalties(params)) {
    counts.update(in.tokens, in.prompt_tokens);
    penalise_repetition(in.logits, params, counts);
  }
  if (params.dry_multiplier > 0) penalise_echo(in.logits, in.tokens, params, scratch.matches);
  if (in.constraint != nullptr) apply_constraint(in.logits, *in.constraint, scratch.allowed);
  for (TokenId token : in.banned) {
    if (token >= 0 && static_cast<size_t>(token) < in.logits.size()) {
      in.logits[static_cast<size_t>(token)] = kNever;
    }
  }
}

// --- what narrows the choice --------------------------------------------------------------------

double total_weight(const std::vector<Candidate>& candidates) {
  double sum = 0;
  for (const Candidate& c : candidates) sum += c.weight;
  return sum;
}

// Which of kBuckets equal steps of cost a candidate falls into.
struct Buckets {
  float low = 0;
  float per_cost = 0;

  explicit Buckets(const std::vector<Candidate>& candidates) {
    low = candidates.front().cost;
    float high = low;
    for (const Candidate& c : candidates) {
      low = std::min(low, c.cost);
      high = std::max(high, c.cost);
    }
    const float range = std::min(high - low, kCostRange);
    per_cost = range > 0 ? (kBuckets - 1) / range : 0;
  }
  size_t of(const Candidate& c) const {
    const float bucket = (c.cost - low) * per_cost;
    return bucket < kBuckets - 1 ? static_cast<size_t>(bucket) : kBuckets - 1;
  }
};

// Keeps the cheapest candidates whose weights reach `left`. Only the bucket in which it is reached
// is sorted.
void keep_mass(std::vector<Candidate>& candidates, double left) {
  const Buckets buckets(candidates);
  std::array<double, kBuckets> weights{};
  for (const Candidate& c : candidates) weights[buckets.of(c)] += c.weight;
  size_t last = 0;
  while (last + 1 < kBuckets && weights[last] < left) left -= weights[last++];
  const auto sure = std::partition(candidates.begin(), candidates.end(),
                                   [&](const Candidate& c) { return buckets.of(c) < last; });
  const auto end = std::partition(sure, candidates.end(),
                                  [&](const Candidate& c) { return buckets.of(c) == last; });
  std::sort(sure, end, cheaper);
  auto it = sure;
  while (it != end && (left > 0 || it == candidates.begin())) left -= (it++)->weight;
  candidates.erase(it, candidates.end());
}

// Locally typical sampling (Meister et al. 2023): tokens whose surprise is near the expected one.
void keep_typical(std::vector<Candidate>& candidates, float share) {
  const double total = total_weight(candidates);
  double entropy = 0;
  for (const Candidate& c : candidates) {
    const double p = c.weight / total;
    if (p > 0) entropy -= p * std::log(p);
  }
  for (Candidate& c : candidates) {
    c.cost = static_cast<float>(std::abs(-std::log(c.weight / total) - entropy));
  }
  keep_mass(candidates, share * total);
}

// What top-k and min-p leave.
void find_best(std::span<const float> logits, float top, const SamplingParams& params,
               std::vector<Candidate>& out) {
  const float floor = params.min_p > 0 ? top + params.temperature * std::log(params.min_p) : kNever;
  const size_t k = params.top_k > 0 ? static_cast<size_t>(params.top_k) : logits.size();
  if (k < logits.size()) {
    select_best(logits, k, floor, out);
  } else {
    out.clear();
    for (size_t i = 0; i < logits.size(); ++i) {
      if (logits[i] >= floor && logits[i] != kNever) {
        out.push_back({static_cast<TokenId>(i), logits[i]});
      }
    }
  }
  for (Candidate& c : out) {
    c.cost = (top - c.logit) / params.temperature;
    c.weight = std::exp(-c.cost);
  }
  if (params.top_p < 1) keep_mass(out, params.top_p * total_weight(out));
}

// Top-p over the whole row. The tokens that weigh less than (1 - top_p) of the whole, divided by
// their number, weigh together less than 1 - top_p, so none of them is in the nucleus: the few
// others are all that has to be looked at one by one. With a top_p of 1 those are all that can
// come.
void find_nucleus(std::span<const float> logits, float top, const SamplingParams& params,
                  SamplerScratch& scratch) {
  RowWeights& row = scratch.row;
  row.compute(logits, top, params.temperature);
  const float outside = std::max(0.0f, 1 - params.top_p);
  const auto floor =
      static_cast<float>(outside * row.total() / static_cast<double>(logits.size()) * kBelow);
  std::vector<Candidate>& out = scratch.candidates;
  out.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    const float weight = row.weights()[i];
    if (weight < floor || weight == 0) continue;
    out.push_back(
        {static_cast<TokenId>(i), logits[i], (top - logits[i]) / params.temperature, weight});
  }
  if (params.top_p < 1) keep_mass(out, params.top_p * row.total());
}

// Neither top-k nor min-p narrows the row.
bool takes_all(const SamplingParams& params, size_t vocabulary) {
  return params.min_p <= 0 &&
         (params.top_k <= 0 || static_cast<size_t>(params.top_k) >= vocabulary);
}

TokenId draw(const std::vector<Candidate>& candidates, double uniform) {
  const double target = uniform * total_weight(candidates);
  double sum = 0;
  for (const Candidate& c : candidates) {
    sum += c.weight;
    if (sum > target) return c.token;
  }
  return candidates.back().token;
}

TokenId choose(const SampleInput& in, float top, SamplerScratch& scratch) {
  const SamplingParams& params = in.params;
  const uint64_t index = in.tokens.size() - static_cast<size_t>(in.prompt_tokens);
  const double uniform = philox_uniform(params.seed, index);
  const bool all = takes_all(params, in.logits.size());
  if (all && params.top_p >= 1 && params.typical_p >= 1) {
    scratch.row.compute(in.logits, top, params.temperature);
    return static_cast<TokenId>(scratch.row.find(uniform));
  }
  if (all) {
    find_nucleus(in.logits, top, params, scratch);
  } else {
    find_best(in.logits, top, params, scratch.candidates);
  }
  if (params.typical_p < 1) keep_typical(scratch.candidates, params.typical_p);
  return draw(scratch.candidates, uniform);
}

}  // namespace

void TokenCounts::clear() {
  taken_ = 0;
  counts_.clear();
}

void TokenCounts::update(std::span<const TokenId> tokens, int32_t prompt_tokens) {
  for (; taken_ < tokens.size(); ++taken_) {
    counts_[tokens[taken_]].output += taken_ < static_cast<size_t>(prompt_tokens) ? 0 : 1;
  }
}

SampleOutcome sample(const SampleInput& in, TokenCounts& counts, SamplerScratch& scratch) {
  const bool scores = in.params.logprobs >= 0;
  if (scores) scratch.raw.assign(in.logits.begin(), in.logits.end());
  edit_logits(in, counts, scratch);
  const size_t best = argmax(in.logits);
  const float top = in.logits[best];
  if (!std::isfinite(top)) {
    return {{},
            in.constraint != nullptr
                ? "the constraint allows no token here"
                : "the model gave no finite logit; its weights are damaged or overflow"};
  }
  const bool greedy = in.params.temperature < kGreedyBelow;
  const TokenId token = greedy ? static_cast<TokenId>(best) : choose(in, top, scratch);
  if (!scores) return {{token}, {}};
  return {score(scratch.raw, token, in.params.logprobs, scratch), {}};
}

SampledToken score(std::span<const float> logits, TokenId token, int32_t top,
                   SamplerScratch& scratch) {
  const float best = logits[argmax(logits)];
  scratch.row.compute(logits, best, 1.0f);
  const double total = best + std::log(scratch.row.total());
  const float logit = logits[static_cast<size_t>(token)];
  SampledToken result;
  result.token = token;
  result.logprob = static_cast<float>(logit - total);
  const auto before = logits.first(static_cast<size_t>(token));
  const auto equal_before = std::count(before.begin(), before.end(), logit);
  result.rank =
      1 + static_cast<int32_t>(count_above(logits, logit) + static_cast<size_t>(equal_before));
  const size_t count = std::min(static_cast<size_t>(std::max(top, 0)), logits.size());
  if (count == 0) return result;
  select_best(logits, count, kNever, scratch.candidates);
  for (const Candidate& c : scratch.candidates) {
    result.top.push_back({c.token, static_cast<float>(c.logit - total)});
  }
  return result;
}

}  // namespace hearth::runner
