// Runs an automaton over bytes, following every reading of the text at once.
//
// A reading is a stack of frames: where each open rule will go on. Readings share their tails: a
// node stands for one or more frames below, so that all stacks together are a graph. What can be
// going on after some bytes is a column: a sorted list of frames. Columns and nodes are interned,
// so that equal situations have equal numbers and steps between columns are remembered.
//
//   frame  = (state, count, node)        count is of a counting state, 0 elsewhere
//   node   = frames to go on with when the rule ends; kBottom ends the whole text
//   column = frames with a byte edge, plus the marks kAccepts and kEscapes
//
// kUnknown stands for stacks cut off below some depth: a column that would pop into it is marked as
// escaping instead. One thread uses a machine.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "grammar/automaton.h"

namespace hearth::grammar {

struct Frame {
  int32_t state = 0;
  int32_t count = 0;
  int32_t node = 0;
  auto operator<=>(const Frame&) const = default;
};

// Lists of frames, each stored once and named by a number.
class FrameLists {
 public:
  int32_t intern(std::span<const Frame> frames);
  // Valid until the next intern().
  std::span<const Frame> at(int32_t id) const {
    return {frames_.data() + begins_[id], begins_[id + 1] - begins_[id]};
  }
  int32_t size() const { return static_cast<int32_t>(begins_.size()) - 1; }
  size_t frames() const { return frames_.size() + begins_.size(); }
  // A list of its own, equal to no other.
  int32_t add_distinct();

 private:
  int32_t append(std::span<const Frame> frames);

  std::vector<Frame> frames_;
  std::vector<size_t> begins_{0};
  std::unordered_multimap<uint64_t, int32_t> by_hash_;
};

class Machine {
 public:
  static constexpr int32_t kDead = 0;    // the column of no reading
  static constexpr int32_t kBottom = 0;  // nodes
  static constexpr int32_t kUnknown = 1;
  static constexpr size_t kFramesMax = size_t{1} << 20;
  static constexpr size_t kKeyBytesMax = 4096;

  explicit Machine(const Automaton& automaton);

  // Before the first byte.
  int32_t start();
  // After one more byte; kDead when no reading goes on.
  int32_t step(int32_t column, uint8_t byte) {
    const int32_t known = steps_[slot(column, byte)];
    return known >= 0 ? known : find_step(column, byte);
  }
  int32_t step(int32_t column, std::string_view bytes);

  // The text may end here.
  bool accepts(int32_t column) const { return flags_[column] & kAcceptsFlag; }
  // A rule of the cut-off part may go on here.
  bool escapes(int32_t column) const { return flags_[column] & kEscapesFlag; }
  // Some reading needs more bytes.
  bool continues(int32_t column) const { return flags_[column] & kContinuesFlag; }
  ByteSet next_bytes(int32_t column) const;
  // How much the machine holds; over kFramesMax it takes no new steps, see compacted().
  size_t frames() const { return nodes_.frames() + columns_.frames(); }

  // The same columns in a fresh machine: nothing else is kept. Replaces the numbers in `columns`.
  Machine compacted(std::span<int32_t> columns) const;

  // The situation of a column as far as the next `bytes` bytes can tell, stacks cut at `depth`:
  // equal keys have equal futures, but for what escapes. Equal futures may have different keys.
  // A key over kKeyBytesMax is cut short: take a smaller depth.
  std::string key(int32_t column, int depth, int32_t bytes) const;
  // A fresh machine with that column; returns its number there.
  std::pair<Machine, int32_t> cut(int32_t column, int depth, int32_t bytes) const;

 private:
  static constexpr uint8_t kAcceptsFlag = 1, kEscapesFlag = 2, kContinuesFlag = 4;

  struct Pending {
    int32_t rank = 0;
    RuleId rule = 0;
    Frame caller;
    auto operator<=>(const Pending&) const = default;
  };

  size_t slot(int32_t column, uint8_t byte) const {
    return static_cast<size_t>(column) * automaton_->byte_classes + automaton_->byte_class[byte];
  }
  int32_t find_step(int32_t column, uint8_t byte);
  // Ends rules and enters rules until nothing is new; interns the result.
  int32_t close(std::vector<Frame>& frames, uint8_t flags);
  void end_rules(std::vector<Frame>& frames, uint8_t& flags) const;
  void enter_rules(std::vector<Frame>& frames);
  void call_from(const Frame& frame, std::vector<Pending>& pending) const;
  bool may_end(const Frame& frame) const;
  int32_t add_column(std::span<const Frame> frames, uint8_t flags);
  Frame capped(Frame frame, int32_t bytes) const;
  int32_t copy_node(const Machine& from, int32_t node, int depth, int32_t bytes,
                    std::unordered_map<int64_t, int32_t>& copies);
  void append_key(std::string& out, std::span<const Frame> frames, int depth, int32_t bytes) const;

  const Automaton* automaton_;
  FrameLists nodes_;
  FrameLists columns_;
  std::vector<uint8_t> flags_;  // [columns]
  std::vector<int32_t> steps_;  // [columns, byte classes] the next column, or -1
};

}  // namespace hearth::grammar
