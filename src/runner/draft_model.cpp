#include "runner/draft_model.h"

#include <algorithm>
#include <tuple>

#include "base/check.h"
#include "engine/sequence.h"
#include "ops/elementwise.h"
#include "runner/cpu_runner.h"

namespace hearth::runner {
namespace {

using engine::GuessOrder;
using engine::TokenId;

// Tokens that a step without right guesses, and one in which all were right, leave to be read.
constexpr int32_t kUsualNews = 2;

size_t common_start(std::span<const TokenId> a, std::span<const TokenId> b) {
  const auto [end, other] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return static_cast<size_t>(end - a.begin());
}

// Of its text, what is of use for an order: the last token's row is wanted, so it is read anew.
size_t known_start(std::span<const TokenId> text, std::span<const TokenId> tokens) {
  return std::min(common_start(text, tokens), tokens.size() - 1);
}

// What the draft shares with the large model's sampling: all that depends on the logits alone.
engine::SamplingParams draft_params(const engine::SamplingParams& asked) {
  engine::SamplingParams params;
  params.temperature = asked.temperature;
  params.top_k = asked.top_k;
  params.top_p = asked.top_p;
  params.min_p = asked.min_p;
  params.typical_p = asked.typical_p;
  params.logit_bias = asked.logit_bias;
  params.seed = asked.seed;
  return params;
}

}  // namespace

DraftModel::DraftModel(const models::Model& model, const DraftOptions& options,
                       const ops::Context& context)
    : model_(model),
      options_(options),
      ctx_(context),
      kv_(model.info, options.num_blocks, kv_dtype({}, model.info)),
      pool_(options.num_blocks),
      seats_(static_cast<size_t>(options.seats)),
      scratch_(static_cast<size_t>(context.workers.count())) {}

// The seat of this very choice, or of those that have ended the one whose text starts like its own
// for longest.
const DraftModel::Seat* DraftModel::find(const GuessOrder& order) const {
  const Seat* best = nullptr;
  size_t most = 0;
  for (const Seat& seat : seats_) {
    const bool own = seat.request == order.request && seat.choice == order.choice;
    if (own && !seat.ended) return &seat;
    if (!seat.ended || seat.cache_salt != order.cache_salt) continue;
    const size_t same = common_start(seat.text, order.tokens);
    if (same <= most) continue;
    most = same;
    best = &seat;
  }
  return best;
}

int32_t DraftModel::unread(const GuessOrder& order) const {
  const Seat* seat = find(order);
  return static_cast<int32_t>(order.tokens.size() -
                              (seat ? known_start(seat->text, order.tokens) : 0));
}

DraftModel::Seat* DraftModel::take(const GuessOrder& order) {
  Seat* seat = const_cast<Seat*>(find(order));
  if (!seat) {
    seat = &*std::min_element(seats_.begin(), seats_.end(), [](const Seat& a, const Seat& b) {
      return std::tie(b.ended, a.used) < std::tie(a.ended, b.used);
    });
    if (seat->used == calls_ + 1) return nullptr;
    empty(*seat);
  }
  seat->request = order.request;
  seat->choice = order.choice;
  seat->cache_salt = order.cache_salt;
  seat->used = calls_ + 1;
  seat->ended = false;
  seat->text.resize(known_start(seat->text, order.tokens));
  return seat;
}

void DraftModel::empty(Seat& seat) {
  for (const engine::BlockId block : seat.blocks) pool_.release(block);
  seat = {};
}

// Both models know the tokens, and positions reach so far.
bool DraftModel::can_read(const GuessOrder& order) const {
  const int64_t length = std::ssize(order.tokens) + order.most;
  return length <= model_.info.max_model_len &&
         *std::max_element(order.tokens.begin(), order.tokens.end()) < model_.info.vocabulary;
}

bool DraftModel::make_room(Seat& seat, int32_t tokens) {
  const int32_t blocks = engine::blocks_for(tokens);
  while (pool_.free() < blocks - std::ssize(seat.blocks)) {
    Seat* oldest = nullptr;
    for (Seat& other : seats_) {
      if (other.blocks.empty() || other.used == calls_ + 1) continue;
      if (!oldest || other.used < oldest->used) oldest = &other;
    }
    if (!oldest) return false;
    empty(*oldest);
  }
  while (std::ssize(seat.blocks) < blocks) seat.blocks.push_back(pool_.allocate());
  return true;
}

void DraftModel::end(engine::RequestId request, int32_t choice) {
  for (Seat& seat : seats_) {
    seat.ended |= seat.request == request && seat.choice == choice;
  }
}

int32_t DraftModel::guess(std::span<const GuessOrder> orders) {
  const int32_t read = begin(orders);
  while (!drafts_.empty()) {
    pass();
    std::erase_if(drafts_, [](const Draft& draft) {
      return !draft.guesses || std::ssize(*draft.order->guess) >= draft.order->most;
    });
    for (Draft& draft : drafts_) draft.count = 1;
  }
  ++calls_;
  return read;
}

// Whoever has too much to read takes part in one pass, and guesses nothing yet.
int32_t DraftModel::begin(std::span<const GuessOrder> orders) {
  drafts_.clear();
  int32_t room = options_.read_tokens_max;
  int32_t read = 0;
  for (const GuessOrder& order : orders) {
    CHECK(!order.tokens.empty() && order.most > 0, "nothing to guess from, or for");
    if (!can_read(order)) continue;
    Seat* seat = take(order);
    if (!seat) continue;
    const int32_t missing = static_cast<int32_t>(order.tokens.size() - seat->text.size());
    const int32_t count = std::min(missing, kUsualNews + room);
    if (!make_room(*seat, static_cast<int32_t>(order.tokens.size()) + order.most)) continue;
    const int32_t extra = std::max(count - kUsualNews, 0);
    room -= extra;
    read += extra;
    drafts_.push_back({&order, seat, count, count == missing,
                       std::vector<TokenId>(order.tokens.begin(), order.tokens.end())});
  }
  return read;
}

void DraftModel::pass() {
  tokens_.clear();
  positions_.clear();
  sequences_.clear();
  for (Draft& draft : drafts_) {
    std::vector<TokenId>& text = draft.seat->text;
    const auto computed = static_cast<int32_t>(text.size());
    sequences_.push_back(
        {static_cast<int32_t>(tokens_.size()), draft.count, computed, draft.seat->blocks.data()});
    for (int32_t position = computed; position < computed + draft.count; ++position) {
      text.push_back(draft.text[static_cast<size_t>(position)]);
      tokens_.push_back(text.back());
      positions_.push_back(position);
    }
  }
  ctx_.arena.reset();
  nn::Pass pass{ctx_, tokens_, positions_, sequences_, kv_.cache()};
  choose(model_.forward(pass));
}

void DraftModel::choose(TensorView hidden) {
  std::vector<int32_t> rows;  // of the pass: those that choose
  std::vector<Draft*> drafts;
  for (size_t i = 0; i < drafts_.size(); ++i) {
    if (!drafts_[i].guesses) continue;
    rows.push_back(sequences_[i].row + drafts_[i].count - 1);
    drafts.push_back(&drafts_[i]);
  }
  if (rows.empty()) return;
  const TensorView inputs = ctx_.arena.tensor(DType::kF32, {std::ssize(rows), hidden.cols()});
  ops::gather_rows(ctx_, hidden, rows, inputs);
  const TensorView logits = model_.logits(ctx_, inputs);
  const int64_t vocabulary = std::min<int64_t>(logits.cols(), options_.vocabulary);
  ctx_.workers.run(std::ssize(rows), [&](int64_t task, int worker) {
    Draft& draft = *drafts[static_cast<size_t>(task)];
    const engine::SamplingParams params = draft_params(*draft.order->sampling);
    TokenCounts counts;
    const std::span row(logits.row<float>(task), static_cast<size_t>(vocabulary));
    const SampleOutcome outcome =
        sample({row, draft.text, draft.order->prompt_tokens, params, nullptr, {}}, counts,
               scratch_[static_cast<size_t>(worker)]);
    draft.guesses = outcome.error.empty();
    if (!draft.guesses) return;
    draft.order->guess->push_back(outcome.token.token);
    draft.text.push_back(outcome.token.token);
  });
}

}  // namespace hearth::runner
