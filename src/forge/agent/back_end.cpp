#include "forge/agent/back_end.h"

#include <csignal>

#include "forge/agent/process_back_end.h"

namespace hearth::forge {
namespace {

// Workers that save themselves, or nobody does.
class PlainBackEnd final : public CheckpointBackEnd {
 public:
  PlainBackEnd(const RunOrder& order, std::string folder)
      : order_(order), folder_(std::move(folder)) {}

  WorkerProcess start(int32_t rank, std::span<const Slot> slots) override {
    return start_worker(order_, folder_, rank, slots);
  }
  pid_t save(const WorkerProcess&, AfterSave, const ImageRef&) override { return 0; }
  void go_on(const WorkerProcess&) override {}
  void look_after(const WorkerProcess&) override {}
  // To the first process only: it knows its children, and may take a second signal for haste.
  void ask_to_stop(const WorkerProcess& worker) override { ::kill(worker.pid, SIGTERM); }
  void kill(const WorkerProcess& worker) override { ::kill(-worker.pid, SIGKILL); }
  bool is_saved(int32_t status) const override {
    const Program* program = order_.start.program.get();
    return program && program->checkpoint == CheckpointBy::kLibrary &&
           status == program->saved_exit;
  }
  std::string restore_failure() const override { return {}; }
  void clean_up(const ImageRef&) override {}

 private:
  const RunOrder& order_;
  std::string folder_;
};

}  // namespace

std::unique_ptr<CheckpointBackEnd> make_back_end(const RunOrder& order, const std::string& folder) {
  const Program* program = order.start.program.get();
  if (program && program->checkpoint == CheckpointBy::kProcess)
    return std::make_unique<ProcessBackEnd>(order, folder);
  return std::make_unique<PlainBackEnd>(order, folder);
}

}  // namespace hearth::forge
