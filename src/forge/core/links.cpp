#include "forge/core/links.h"

#include <algorithm>
#include <fmt/format.h>

namespace hearth::forge {

void LinkBook::record(Millis now, NodeId from, const LinkResult& result) {
  const std::string text = result.good ? std::string() : result.text;
  put(from, {result.peer, now, result.good, text});
  put(result.peer, {from, now, result.good, text});
}

void LinkBook::put(NodeId node, Mark mark) {
  std::vector<Mark>& marks = book_[node];
  std::erase_if(marks, [&](const Mark& known) { return known.peer == mark.peer; });
  if (marks.size() >= terms_.peers_max) marks.erase(marks.begin());
  marks.push_back(std::move(mark));
}

void LinkBook::forget(NodeId node) {
  // What a peer that this node has forgotten still knows of it ends with its time.
  for (const Mark& mark : book_[node]) {
    const auto other = book_.find(mark.peer);
    if (other == book_.end() || mark.peer == node) continue;
    std::erase_if(other->second, [&](const Mark& theirs) { return theirs.peer == node; });
  }
  book_.erase(node);
}

std::vector<const LinkBook::Mark*> LinkBook::marks(Millis now, NodeId node) const {
  std::vector<const Mark*> out;
  const auto found = book_.find(node);
  if (found == book_.end()) return out;
  for (const Mark& mark : found->second) {
    if (mark.at + terms_.memory > now) out.push_back(&mark);
  }
  return out;
}

bool LinkBook::well_elsewhere(Millis now, NodeId node, NodeId besides, const Counts& counts) const {
  const std::vector<const Mark*> known = marks(now, node);
  return std::any_of(known.begin(), known.end(), [&](const Mark* mark) {
    return mark->good && mark->peer != besides && counts(mark->peer);
  });
}

bool LinkBook::to_blame(Millis now, NodeId node, const Counts& counts) const {
  size_t bad = 0, good = 0;
  for (const Mark* mark : marks(now, node)) {
    if (!counts(mark->peer)) continue;
    good += mark->good;
    bad += !mark->good && well_elsewhere(now, mark->peer, node, counts);
  }
  return bad >= terms_.bad_min && bad > good;
}

LinkVerdict LinkBook::judge(Millis now, NodeId node, const Counts& counts) const {
  if (to_blame(now, node, counts)) return LinkVerdict::kBad;
  size_t unexplained = 0, good = 0;
  for (const Mark* mark : marks(now, node)) {
    if (!counts(mark->peer)) continue;
    good += mark->good;
    unexplained += !mark->good && !to_blame(now, mark->peer, counts);
  }
  const bool doubtful =
      unexplained >= terms_.bad_min || (unexplained > 0 && good < terms_.good_min);
  return doubtful ? LinkVerdict::kDoubtful : LinkVerdict::kGood;
}

std::string LinkBook::text(Millis now, NodeId node) const {
  size_t bad = 0, all = 0;
  std::string newest;
  for (const Mark* mark : marks(now, node)) {
    ++all;
    bad += !mark->good;
    if (!mark->good) newest = mark->text;
  }
  return fmt::format("{} of {} bad, the last of them: {}", bad, all, newest);
}

}  // namespace hearth::forge
