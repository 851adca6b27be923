#include "grammar/machine.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/random.h"

namespace hearth::grammar {
namespace {

// In a column, marks are frames of these states, so that columns that differ in them differ.
constexpr int32_t kAcceptsMark = -1;
constexpr int32_t kEscapesMark = -2;

uint64_t hash_of(std::span<const Frame> frames) {
  uint64_t hash = frames.size();
  for (const Frame& frame : frames) {
    const auto low = static_cast<uint64_t>(static_cast<uint32_t>(frame.state)) << 32 |
                     static_cast<uint32_t>(frame.node);
    hash = split_mix(hash ^ low) + static_cast<uint32_t>(frame.count);
  }
  return hash;
}

void sort_unique(std::vector<Frame>& frames) {
  std::sort(frames.begin(), frames.end());
  frames.erase(std::unique(frames.begin(), frames.end()), frames.end());
}

}  // namespace

int32_t FrameLists::append(std::span<const Frame> frames) {
  frames_.insert(frames_.end(), frames.begin(), frames.end());
  begins_.push_back(frames_.size());
  return size() - 1;
}

int32_t FrameLists::add_distinct() { return append({}); }

int32_t FrameLists::intern(std::span<const Frame> frames) {
  const uint64_t hash = hash_of(frames);
  const auto [first, last] = by_hash_.equal_range(hash);
  for (auto it = first; it != last; ++it) {
    if (std::ranges::equal(at(it->second), frames)) return it->second;
  }
  const int32_t id = append(frames);
  by_hash_.emplace(hash, id);
  return id;
}

Machine::Machine(const Automaton& automaton) : automaton_(&automaton) {
  nodes_.add_distinct();  // kBottom
  nodes_.add_distinct();  // kUnknown
  add_column({}, 0);      // kDead
}

int32_t Machine::add_column(std::span<const Frame> frames, uint8_t flags) {
  const int32_t id = columns_.intern(frames);
  if (static_cast<size_t>(id) == flags_.size()) {
    flags_.push_back(flags);
    steps_.resize(steps_.size() + automaton_->byte_classes, id == kDead ? kDead : -1);
  }
  return id;
}

int32_t Machine::start() {
  std::vector<Frame> frames;
  const auto& root = automaton_->rules[automaton_->root];
  frames.push_back({root.start, 0, kBottom});
  return close(frames, automaton_->root_nullable ? kAcceptsFlag : 0);
}

int32_t Machine::find_step(int32_t column, uint8_t byte) {
  if (frames() > kFramesMax) return kDead;
  std::vector<Frame> frames;
  for (const Frame& frame : columns_.at(column)) {
    if (frame.state < 0) continue;
    const State& state = automaton_->states[frame.state];
    for (int32_t i = state.byte_begin; i < state.byte_end; ++i) {
      const ByteEdge& edge = automaton_->byte_edges[i];
      if (edge.low <= byte && byte <= edge.high) frames.push_back({edge.target, 0, frame.node});
    }
  }
  const int32_t next = close(frames, 0);
  steps_[slot(column, byte)] = next;
  return next;
}

int32_t Machine::step(int32_t column, std::string_view bytes) {
  for (const char c : bytes) {
    column = step(column, static_cast<uint8_t>(c));
    if (column == kDead) break;
  }
  return column;
}

bool Machine::may_end(const Frame& frame) const {
  const State& state = automaton_->states[frame.state];
  // A counting rule that has not begun is its caller's to step over.
  return state.accepting && (!state.counts() || frame.count >= std::max(state.count_min, 1));
}

int32_t Machine::close(std::vector<Frame>& frames, uint8_t flags) {
  end_rules(frames, flags);
  enter_rules(frames);
  if (frames.size() > kFramesPerColumnMax) frames.resize(kFramesPerColumnMax);
  std::erase_if(frames, [this](const Frame& frame) {
    const State& state = automaton_->states[frame.state];
    return state.byte_begin == state.byte_end;
  });
  sort_unique(frames);
  if (!frames.empty()) flags |= kContinuesFlag;
  if (flags & kAcceptsFlag) frames.push_back({kAcceptsMark, 0, 0});
  if (flags & kEscapesFlag) frames.push_back({kEscapesMark, 0, 0});
  return add_column(frames, flags);
}

void Machine::end_rules(std::vector<Frame>& frames, uint8_t& flags) const {
  sort_unique(frames);
  for (size_t i = 0; i < frames.size() && i < kFramesPerColumnMax; ++i) {
    const Frame frame = frames[i];
    if (!may_end(frame)) continue;
    if (frame.node == kBottom) flags |= kAcceptsFlag;
    if (frame.node == kUnknown) flags |= kEscapesFlag;
    for (const Frame& caller : nodes_.at(frame.node)) {
      if (std::find(frames.begin(), frames.end(), caller) == frames.end()) frames.push_back(caller);
    }
  }
}

// Rules are entered in the order of their ranks: when one is, all its callers are known.
void Machine::enter_rules(std::vector<Frame>& frames) {
  std::vector<Pending> pending;
  for (const Frame& frame : frames) call_from(frame, pending);
  std::vector<Frame> callers;
  while (!pending.empty()) {
    const Pending first = *std::min_element(pending.begin(), pending.end());
    callers.clear();
    std::erase_if(pending, [&](const Pending& call) {
      if (call.rule == first.rule) callers.push_back(call.caller);
      return call.rule == first.rule;
    });
    sort_unique(callers);
    if (callers.size() > kFramesPerColumnMax) callers.resize(kFramesPerColumnMax);
    const Frame entered{automaton_->rules[first.rule].start, 0, nodes_.intern(callers)};
    frames.push_back(entered);
    call_from(entered, pending);
  }
}

void Machine::call_from(const Frame& frame, std::vector<Pending>& pending) const {
  const State& state = automaton_->states[frame.state];
  if (state.counts() && state.count_max != kUnbounded && frame.count >= state.count_max) return;
  for (int32_t i = state.call_begin; i < state.call_end; ++i) {
    const CallEdge& call = automaton_->call_edges[i];
    const int32_t rank = automaton_->rules[call.rule].rank;
    const State& target = automaton_->states[call.target];
    if (target.counts()) {
      // Counting stops where further counts change nothing.
      const int32_t last =
          target.count_max == kUnbounded ? std::max(target.count_min, 1) : target.count_max;
      const int32_t count = std::min(frame.count + 1, last);
      pending.push_back({rank, call.rule, {call.target, count, frame.node}});
    } else if (target.accepting && !target.has_edges() && frame.node > kUnknown) {
      // A call in last position goes on wherever its caller would: the stack does not grow.
      for (const Frame& below : nodes_.at(frame.node)) pending.push_back({rank, call.rule, below});
    } else {
      pending.push_back({rank, call.rule, {call.target, 0, frame.node}});
    }
  }
}

ByteSet Machine::next_bytes(int32_t column) const {
  ByteSet set;
  for (const Frame& frame : columns_.at(column)) {
    if (frame.state < 0) continue;
    const State& state = automaton_->states[frame.state];
    for (int32_t i = state.byte_begin; i < state.byte_end; ++i) {
      const ByteEdge& edge = automaton_->byte_edges[i];
      for (int byte = edge.low; byte <= edge.high; ++byte) set.set(byte);
    }
  }
  return set;
}

// Counts so far from both bounds that `bytes` bytes cannot reach them are one count.
Frame Machine::capped(Frame frame, int32_t bytes) const {
  if (frame.state < 0) return frame;
  const State& state = automaton_->states[frame.state];
  if (!state.counts()) return frame;
  const int64_t low = std::max(state.count_min, 1);
  if (frame.count < low) {
    if (frame.count > 0 && low - frame.count > bytes) {
      frame.count = static_cast<int32_t>(low - bytes - 1);
    }
  } else if (state.count_max == kUnbounded || state.count_max - frame.count > bytes) {
    frame.count = static_cast<int32_t>(low);
  }
  return frame;
}

void Machine::append_key(std::string& out, std::span<const Frame> frames, int depth,
                         int32_t bytes) const {
  const auto put = [&out](int32_t value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof(value));
  };
  put(static_cast<int32_t>(frames.size()));
  for (const Frame& frame : frames) {
    if (out.size() > kKeyBytesMax) return;
    const Frame seen = capped(frame, bytes);
    put(seen.state);
    put(seen.count);
    if (frame.state < 0) continue;
    if (frame.node <= kUnknown || depth == 0) {
      put(frame.node == kBottom ? -1 : -2);
    } else {
      append_key(out, nodes_.at(frame.node), depth - 1, bytes);
    }
  }
}

std::string Machine::key(int32_t column, int depth, int32_t bytes) const {
  std::string out(1, static_cast<char>(depth));
  append_key(out, columns_.at(column), depth, bytes);
  return out;
}

int32_t Machine::copy_node(const Machine& from, int32_t node, int depth, int32_t bytes,
                           std::unordered_map<int64_t, int32_t>& copies) {
  if (node <= kUnknown) return node;
  if (depth == 0) return kUnknown;
  const int64_t name = static_cast<int64_t>(node) << 8 | depth;
  if (const auto it = copies.find(name); it != copies.end()) return it->second;
  std::vector<Frame> frames;
  for (const Frame& frame : from.nodes_.at(node)) {
    Frame copy = from.capped(frame, bytes);
    copy.node = copy_node(from, frame.node, depth - 1, bytes, copies);
    frames.push_back(copy);
  }
  sort_unique(frames);
  return copies[name] = nodes_.intern(frames);
}

std::pair<Machine, int32_t> Machine::cut(int32_t column, int depth, int32_t bytes) const {
  Machine out(*automaton_);
  std::unordered_map<int64_t, int32_t> copies;
  std::vector<Frame> frames;
  for (const Frame& frame : columns_.at(column)) {
    Frame copy = capped(frame, bytes);
    copy.node = frame.state < 0 ? 0 : out.copy_node(*this, frame.node, depth, bytes, copies);
    frames.push_back(copy);
  }
  std::sort(frames.begin(), frames.end(), [](const Frame& a, const Frame& b) {
    return std::pair(a.state < 0, a) < std::pair(b.state < 0, b);
  });
  frames.erase(std::unique(frames.begin(), frames.end()), frames.end());
  const int32_t id = out.add_column(frames, flags_[column]);
  return {std::move(out), id};
}

Machine Machine::compacted(std::span<int32_t> columns) const {
  Machine out(*automaton_);
  // A node's frames name older nodes, so that one pass each way is enough.
  std::vector<bool> live(nodes_.size(), false);
  for (const int32_t column : columns) {
    for (const Frame& frame : columns_.at(column)) live[frame.node] = true;
  }
  for (int32_t node = nodes_.size() - 1; node > kUnknown; --node) {
    if (!live[node]) continue;
    for (const Frame& frame : nodes_.at(node)) live[frame.node] = true;
  }
  std::vector<int32_t> renamed(nodes_.size(), kBottom);
  renamed[kUnknown] = kUnknown;
  std::vector<Frame> frames;
  const auto copy = [&](std::span<const Frame> source) {
    frames.assign(source.begin(), source.end());
    for (Frame& frame : frames) frame.node = renamed[frame.node];
  };
  for (int32_t node = kUnknown + 1; node < nodes_.size(); ++node) {
    if (!live[node]) continue;
    copy(nodes_.at(node));
    renamed[node] = out.nodes_.intern(frames);
  }
  for (int32_t& column : columns) {
    copy(columns_.at(column));
    column = out.add_column(frames, flags_[column]);
  }
  return out;
}

}  // namespace hearth::grammar
