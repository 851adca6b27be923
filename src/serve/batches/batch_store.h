// Batches and their items. Each item is answered once: its answer, the counts of its batch and the
// tokens in the books are one transaction. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "serve/files/file_store.h"
#include "serve/state/page.h"
#include "serve/tenants/usage_store.h"

namespace hearth::serve {

class State;

// OpenAI's words.
namespace batch_status {
inline constexpr const char* kValidating = "validating";
inline constexpr const char* kFailed = "failed";
inline constexpr const char* kInProgress = "in_progress";
inline constexpr const char* kFinalizing = "finalizing";
inline constexpr const char* kCompleted = "completed";
inline constexpr const char* kExpired = "expired";
inline constexpr const char* kCancelling = "cancelling";
inline constexpr const char* kCancelled = "cancelled";
}  // namespace batch_status

struct Batch {
  int64_t number = 0;
  std::string id;  // "batch_..."
  std::string project;
  std::string api_key;  // whose books the tokens go to
  std::string endpoint;
  std::string input_file;
  std::string completion_window;
  std::string status = batch_status::kValidating;
  std::string metadata;  // JSON
  std::string errors;    // JSON: a list; empty: none
  std::string output_file, error_file;
  int64_t output_expires_after_s = 0;  // 0: kept
  int64_t total = 0, completed = 0, failed = 0;
  UsageCounts usage;
  int64_t created_s = 0, expires_s = 0, in_progress_s = 0, finalizing_s = 0, completed_s = 0,
          failed_s = 0, expired_s = 0, cancelling_s = 0, cancelled_s = 0;
};

bool is_over(const Batch& batch);

// A line of the input file.
struct BatchItem {
  int64_t line = 0;
  std::string custom_id;
  int64_t begin = 0;
  int64_t bytes = 0;
};

enum class ItemStatus : uint8_t { kPending = 0, kAnswered = 1, kFailed = 2 };

class BatchStore {
 public:
  explicit BatchStore(State& state) : state_(state) {}

  void add(const Batch& batch);
  std::optional<Batch> find(const std::string& id, const std::string& project);
  // An empty project is all of them.
  Listed<Batch> list(const std::string& project, const Page& page);
  // Those that are not over, oldest first.
  std::vector<Batch> active();

  // While it is validated; an item that is there already is the same one.
  void add_items(const std::string& batch, const std::vector<BatchItem>& items);
  void begin(const std::string& batch, int64_t total, int64_t now_s);
  void fail(const std::string& batch, const std::string& errors, int64_t now_s);
  // False: it is over.
  bool ask_to_cancel(const std::string& batch, int64_t now_s);

  std::vector<BatchItem> pending(const std::string& batch, int64_t after_line, int64_t limit);
  // False: the item has been answered before, and nothing was written.
  bool record(const Batch& batch, int64_t line, ItemStatus status, const std::string& answer,
              const UsageLabels& labels, const UsageCounts& counts, int64_t now_s);

  void finalizing(const std::string& batch, int64_t now_s);
  struct Answer {
    int64_t line = 0;
    std::string text;
  };
  std::vector<Answer> answers(const std::string& batch, ItemStatus status, int64_t after_line,
                              int64_t limit);
  // It is over with that status, and these files are there.
  void finish(const Batch& batch, const char* status, const std::optional<StoredFile>& output,
              const std::optional<StoredFile>& errors, int64_t now_s);
  // Some items of batches that are over; false: there are none left.
  bool forget_items(int64_t limit);

 private:
  State& state_;
};

}  // namespace hearth::serve
