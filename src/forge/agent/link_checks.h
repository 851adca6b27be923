// A node's own looks at the ways to others: the server names a few of its cluster, each another
// time, and what is measured is compared with what such hardware does (baselines.h). Which end of a
// bad one is to blame the scheduler finds (core/links.h). One thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "forge/agent/link_door.h"
#include "forge/core/links.h"

namespace hearth::forge {

struct LinkCheckOptions {
  std::string node;       // this one's name
  std::string token;      // of the Forge
  std::string baselines;  // a file
  int32_t peers = 2;      // a round
};

class LinkChecks {
 public:
  // `http`: to the servers (client/leader_client.h).
  LinkChecks(LinkCheckOptions options, transport::HttpClient& http, const Clock& clock);

  // Some seconds at most. Nothing where there are no others, or the server does not say.
  std::vector<LinkResult> round();

 private:
  struct Known {
    NodeId node = 0;
    std::string kind;  // of its devices
    LinkPeer peer;
  };

  std::vector<Known> ask_for_peers();
  // Nothing where others were using the way, so that what was left says nothing about it.
  std::optional<LinkResult> judge(const Known& known, const LinkVisit& visit) const;

  LinkCheckOptions options_;
  transport::HttpClient& http_;
  const Clock& clock_;
  Random random_;
};

}  // namespace hearth::forge
