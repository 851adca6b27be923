// Links between nodes, as the nodes' agents find them; and which end of a bad one is to blame.
// Pure.
//
// A link that fails says nothing about which of its ends is the bad one: the pair is in doubt. What
// tells is the other links of both. A node is to blame when its links with several others are bad,
// most of those that are known, and these others do well among each other. Where no link of a
// cluster works (a firewall, say) nobody is to blame, and everybody in doubt.
//
// It is not part of an image: a new scheduler has heard of all links again some minutes later.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "forge/core/types.h"

namespace hearth::forge {

// What a node found out about its way to another and back.
struct LinkResult {
  NodeId peer = 0;
  bool good = true;
  std::string text;  // what was measured and expected, for people
};

enum class LinkVerdict { kGood, kDoubtful, kBad };

struct LinkTerms {
  size_t peers_max = 16;    // whose links with a node are remembered, the newest
  Millis memory = 900'000;  // and for so long
  size_t bad_min = 2;       // bad links that put the blame on a node
  size_t good_min = 2;      // good ones that take the doubt away which a single bad one raises
};

class LinkBook {
 public:
  // Whose links count: nodes that are up and in use.
  using Counts = std::function<bool(NodeId)>;

  explicit LinkBook(LinkTerms terms = {}) : terms_(terms) {}

  void record(Millis now, NodeId from, const LinkResult& result);
  // A node that began a new life, or that somebody has seen to.
  void forget(NodeId node);

  LinkVerdict judge(Millis now, NodeId node, const Counts& counts) const;
  // Why, in words: the newest of the bad links, and how many there are.
  std::string text(Millis now, NodeId node) const;

 private:
  struct Mark {
    NodeId peer = 0;
    Millis at = 0;
    bool good = true;
    std::string text;  // of a bad one
  };

  void put(NodeId node, Mark mark);
  std::vector<const Mark*> marks(Millis now, NodeId node) const;
  bool well_elsewhere(Millis now, NodeId node, NodeId besides, const Counts& counts) const;
  bool to_blame(Millis now, NodeId node, const Counts& counts) const;

  LinkTerms terms_;
  std::map<NodeId, std::vector<Mark>> book_;  // both ends of a link have a mark; oldest first
};

}  // namespace hearth::forge
