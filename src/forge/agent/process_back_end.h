// The back end that knows nothing of the program: its processes are a PID namespace of their own,
// and CRIU writes them down and brings them back. CRIU, packing and unpacking run in children, so
// that the keeper goes on watching its lease; what is in CRIU's own format lies in memory meanwhile
// where there is room.
//
// A worker that came back is a child of CRIU, and that one of the keeper: each dies with its
// parent.
#pragma once

#include "forge/agent/back_end.h"
#include "forge/checkpoint/criu.h"

namespace hearth::forge {

class ProcessBackEnd final : public CheckpointBackEnd {
 public:
  ProcessBackEnd(const RunOrder& order, std::string folder)
      : order_(order), folder_(std::move(folder)) {}

  WorkerProcess start(int32_t rank, std::span<const Slot> slots) override;
  void look_after(const WorkerProcess& worker) override;
  pid_t save(const WorkerProcess& worker, AfterSave after, const ImageRef& image) override;
  void go_on(const WorkerProcess& worker) override;
  void ask_to_stop(const WorkerProcess& worker) override;
  void kill(const WorkerProcess& worker) override;
  bool is_saved(int32_t) const override { return false; }
  std::string restore_failure() const override;
  void clean_up(const ImageRef& newest) override;

 private:
  // The first process of the namespace; 0: there is none yet, or none any more.
  pid_t first_process(const WorkerProcess& worker) const;
  // The same; 0 also as long as what came back is not whole.
  pid_t root(const WorkerProcess& worker) const;
  void give_gpus_back(pid_t first) const;
  WorkerProcess restore();
  [[noreturn]] void bring_back(const Pipe& output, const Pipe& status);
  std::string unpack(const Pipe& output) const;
  void write_down(pid_t root, AfterSave after, const ImageRef& image);
  std::string scratch_name(const char* what) const;

  const RunOrder& order_;
  std::string folder_;
  bool rooted_ = false;  // the first process is written down
};

}  // namespace hearth::forge
