// A Slurm for tests: it takes orders, loses answers and goes away when told.
#pragma once

#include <algorithm>
#include <set>

#include "base/error.h"
#include "forge/slurm/slurm.h"

namespace hearth::forge {

class FakeSlurm final : public Slurm {
 public:
  Submitted submit(const SlurmOrder& order) override {
    ++submissions;
    if (away) return {SlurmAnswer::kUnknown, "away"};
    if (!refusal.empty()) return {SlurmAnswer::kRefused, refusal};
    known.push_back({next_id++, order.name, SlurmState::kWaiting, "PENDING"});
    if (lose_answers) return {SlurmAnswer::kUnknown, "lost"};
    return {SlurmAnswer::kTaken, {}};
  }
  std::vector<SlurmJob> jobs() override {
    if (away) throw_error(ErrorCode::kUnavailable, "squeue", "away");
    ++looks;
    return known;
  }
  std::vector<SlurmNode> nodes() override { return {}; }
  void cancel(const std::vector<int64_t>& ids) override {
    for (SlurmJob& job : known) {
      if (std::find(ids.begin(), ids.end(), job.id) != ids.end()) job.state = SlurmState::kEnded;
    }
    cancelled.insert(ids.begin(), ids.end());
  }
  void set(const std::string& name, SlurmState state, const std::string& text) {
    for (SlurmJob& job : known) {
      if (job.name == name) job.state = state, job.text = text;
    }
  }

  std::vector<SlurmJob> known;
  std::set<int64_t> cancelled;
  std::string refusal;
  bool away = false;
  bool lose_answers = false;
  int submissions = 0;
  int looks = 0;
  int64_t next_id = 1;
};

}  // namespace hearth::forge
