// GPU memory of processes that are saved as they are. The CUDA driver has checkpoints of its own:
// asked for a process by its number it blocks that one's calls (lock), takes its device memory into
// host memory and lets go of the devices (checkpoint); back the same way (restore, unlock).
// Around that CRIU finds a process without devices. The driver is found when it is needed; Hearth
// is neither built nor linked with it.
#pragma once

#include <memory>
#include <string>
#include <sys/types.h>
#include <vector>

namespace hearth::forge {

class CudaDriver {
 public:
  // Throws Error(kUnavailable) naming what is missing and the cure.
  explicit CudaDriver(const std::string& library);
  ~CudaDriver();
  CudaDriver(const CudaDriver&) = delete;
  CudaDriver& operator=(const CudaDriver&) = delete;

  // From now on `pid` waits in its next CUDA call and has no device. Throws Error(kUnavailable)
  // with the driver's word; the process runs on then.
  void take_off(pid_t pid) const;
  // The opposite. The process has to run, not to stand still: the driver works inside it.
  void put_back(pid_t pid) const;

 private:
  struct Calls;
  std::unique_ptr<Calls> calls_;
};

constexpr const char* kNvidiaDevices = "/dev/nvidia";

// Those of `pids` that have a device file open whose name begins like this.
std::vector<pid_t> users_of_devices(const std::vector<pid_t>& pids,
                                    const std::string& begin = kNvidiaDevices);

// All processes of a tree without their GPUs, as long as this object lives: where something fails
// on the way they get them back. Loads the driver only when one of them has a GPU.
class CudaPause {
 public:
  // Throws Error(kUnavailable); none of them is paused then.
  CudaPause(const std::string& library, const std::vector<pid_t>& users);
  ~CudaPause();
  CudaPause(const CudaPause&) = delete;
  CudaPause& operator=(const CudaPause&) = delete;

  // Throws Error(kUnavailable) when one of them does not get its GPU back.
  void end();
  // They will not run again.
  void abandon() { paused_.clear(); }

 private:
  std::unique_ptr<CudaDriver> driver_;
  std::vector<pid_t> paused_;
};

// Numbers of processes as they are inside their own namespace, and back: those of an image's
// processes are others every time it is brought back.
std::vector<pid_t> numbers_inside(const std::vector<pid_t>& pids);
std::vector<pid_t> with_numbers_inside(const std::vector<pid_t>& tree,
                                       const std::vector<pid_t>& inside);

}  // namespace hearth::forge
