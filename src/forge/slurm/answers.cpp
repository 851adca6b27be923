// Slurm's JSON and words as values. Later releases write a job's state as a list of words where
// 22.05 writes one word, and numbers as objects; both are read.
#include <algorithm>
#include <array>
#include <string_view>

#include "forge/slurm/slurm.h"
#include "io/json.h"

namespace hearth::forge {
namespace {

using io::Json;

constexpr std::array kAliveWords = {"RUNNING",   "COMPLETING", "SUSPENDED", "STOPPED",
                                    "SIGNALING", "STAGE_OUT",  "RESIZING"};
constexpr std::array kWaitingWords = {"PENDING",       "CONFIGURING",  "REQUEUED",
                                      "REQUEUE_HOLD",  "REQUEUE_FED",  "SPECIAL_EXIT",
                                      "RESV_DEL_HOLD", "POWER_UP_NODE"};
constexpr std::array kFailedNodeWords = {"NODE_FAIL", "BOOT_FAIL"};
constexpr std::array kAwayWords = {"DOWN",          "ERROR",        "UNKNOWN", "FUTURE",
                                   "INVALID",       "INVALID_REG",  "FAIL",    "POWERED_DOWN",
                                   "POWERING_DOWN", "REBOOT_ISSUED"};
constexpr std::array kDrainedWords = {"DRAIN", "MAINTENANCE", "REBOOT_REQUESTED"};
// After these nobody can say whether the controller has taken the job.
constexpr std::array kDoubtful = {"contact",    "timed out",   "Zero Bytes",      "Communication",
                                  "Connection", "temporarily", "Message receive", "protocol"};

std::vector<std::string> slurm_words(const Json& object, const char* key) {
  std::vector<std::string> out;
  const auto found = object.find(key);
  if (found == object.end()) return out;
  if (found->is_string()) out.push_back(found->get<std::string>());
  if (found->is_array()) {
    for (const Json& word : *found) {
      if (word.is_string()) out.push_back(word.get<std::string>());
    }
  }
  for (std::string& word : out) {
    for (char& letter : word) {
      if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 'a' + 'A');
    }
  }
  return out;
}

template <size_t N>
bool says_any(const std::vector<std::string>& words, const std::array<const char*, N>& known) {
  return std::any_of(words.begin(), words.end(), [&](const std::string& word) {
    return std::find(known.begin(), known.end(), word) != known.end();
  });
}

int64_t slurm_number(const Json& object, const char* key) {
  auto value = object.find(key);
  if (value != object.end() && value->is_object()) {
    const Json& inner = *value;
    return inner.contains("number") && inner["number"].is_number() ? inner["number"].get<int64_t>()
                                                                   : 0;
  }
  return value != object.end() && value->is_number() ? value->get<int64_t>() : 0;
}

std::string slurm_text(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// A word that nobody knows yet counts as alive: nothing is started beside it.
SlurmState job_state(const std::vector<std::string>& words) {
  constexpr std::array kOver = {"COMPLETED",     "CANCELLED", "FAILED",
                                "TIMEOUT",       "PREEMPTED", "DEADLINE",
                                "OUT_OF_MEMORY", "REVOKED",   "LAUNCH_FAILED"};
  if (says_any(words, kAliveWords)) return SlurmState::kAlive;
  if (says_any(words, kWaitingWords)) return SlurmState::kWaiting;
  if (says_any(words, kFailedNodeWords)) return SlurmState::kNodeFailed;
  return says_any(words, kOver) ? SlurmState::kEnded : SlurmState::kAlive;
}

const Json& slurm_list(const Json& json, const char* key, const char* where) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_array())
    throw_error(ErrorCode::kDataLoss, where, "expected a list '{}' in its answer", key);
  return *found;
}

}  // namespace

std::vector<SlurmJob> read_squeue(const std::string& text) {
  const Json json = io::parse_json(text, "squeue --json");
  std::vector<SlurmJob> out;
  for (const Json& entry : slurm_list(json, "jobs", "squeue --json")) {
    const std::vector<std::string> words = slurm_words(entry, "job_state");
    SlurmJob job{slurm_number(entry, "job_id"), slurm_text(entry, "name"), job_state(words), {}};
    for (const std::string& word : words) job.text += (job.text.empty() ? "" : "+") + word;
    const std::string reason = slurm_text(entry, "state_reason");
    if (!reason.empty() && reason != "None") job.text += ", " + reason;
    out.push_back(std::move(job));
  }
  return out;
}

std::vector<SlurmNode> read_sinfo(const std::string& text) {
  const Json json = io::parse_json(text, "sinfo --json");
  std::vector<SlurmNode> out;
  for (const Json& entry : slurm_list(json, "nodes", "sinfo --json")) {
    SlurmNode node{slurm_text(entry, "name"),
                   slurm_text(entry, "address"),
                   static_cast<int32_t>(slurm_number(entry, "cpus")),
                   slurm_number(entry, "real_memory"),
                   slurm_text(entry, "gres"),
                   {},
                   SlurmCare::kInUse,
                   slurm_text(entry, "reason")};
    if (const auto found = entry.find("partitions"); found != entry.end() && found->is_array()) {
      for (const Json& name : *found) {
        if (name.is_string()) node.partitions.push_back(name.get<std::string>());
      }
    }
    std::vector<std::string> words = slurm_words(entry, "state");
    const std::vector<std::string> flags = slurm_words(entry, "state_flags");
    words.insert(words.end(), flags.begin(), flags.end());
    if (says_any(words, kDrainedWords)) node.care = SlurmCare::kDrained;
    if (says_any(words, kAwayWords)) node.care = SlurmCare::kAway;
    out.push_back(std::move(node));
  }
  return out;
}

int32_t gres_count(const std::string& gres, const std::string& kind) {
  int32_t count = 0;
  for (size_t at = 0; at < gres.size();) {
    size_t end = at;
    for (int depth = 0; end < gres.size() && (gres[end] != ',' || depth > 0); ++end)
      depth += (gres[end] == '(') - (gres[end] == ')');
    const std::string one = gres.substr(at, std::min(gres.find('(', at), end) - at);
    at = end + 1;
    if (one != kind && !one.starts_with(kind + ":")) continue;
    const size_t colon = one.rfind(':');
    const bool counted = colon != std::string::npos && colon + 1 < one.size() &&
                         one.find_first_not_of("0123456789", colon + 1) == std::string::npos;
    count += counted ? std::stoi(one.substr(colon + 1)) : 1;
  }
  return count;
}

SlurmAnswer read_refusal(const std::string& words) {
  const bool doubtful =
      words.empty() || std::any_of(kDoubtful.begin(), kDoubtful.end(), [&](const char* word) {
        return words.find(word) != std::string::npos;
      });
  return doubtful ? SlurmAnswer::kUnknown : SlurmAnswer::kRefused;
}

}  // namespace hearth::forge
