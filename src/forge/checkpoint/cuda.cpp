#include "forge/checkpoint/cuda.h"

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <dlfcn.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <sstream>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"

namespace hearth::forge {
namespace {

constexpr uint32_t kLockMsMax = 60'000;  // for the calls that are on their way in the process
constexpr int kCudaSuccess = 0;

// As the driver lays it out; what is reserved has to be nothing.
struct LockArguments {
  uint32_t timeout_ms = kLockMsMax;
  uint32_t reserved_word = 0;
  uint64_t reserved[7] = {};
};
static_assert(sizeof(LockArguments) == 64);

// The number of `pid` inside the innermost of its namespaces; 0: it is gone.
pid_t number_inside(pid_t pid) {
  std::ifstream in(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("NSpid:")) continue;
    std::istringstream numbers(line.substr(6));
    pid_t last = 0;
    for (pid_t number = 0; numbers >> number;) last = number;
    return last;
  }
  return 0;
}

bool has_device(pid_t pid, const std::string& begin) {
  std::error_code gone;
  for (const auto& entry :
       std::filesystem::directory_iterator(fmt::format("/proc/{}/fd", pid), gone)) {
    if (std::filesystem::read_symlink(entry.path(), gone).string().starts_with(begin)) return true;
  }
  return false;
}

}  // namespace

struct CudaDriver::Calls {
  void* library = nullptr;
  int (*init)(unsigned) = nullptr;
  int (*error_text)(int, const char**) = nullptr;
  int (*lock)(int, LockArguments*) = nullptr;
  int (*checkpoint)(int, void*) = nullptr;
  int (*restore)(int, void*) = nullptr;
  int (*unlock)(int, void*) = nullptr;

  Calls() = default;
  Calls(const Calls&) = delete;
  Calls& operator=(const Calls&) = delete;
  ~Calls() {
    if (library) dlclose(library);
  }

  template <typename Function>
  void find(Function*& out, const char* name, const std::string& from) {
    out = reinterpret_cast<Function*>(dlsym(library, name));
    if (out) return;
    throw_error(ErrorCode::kUnavailable, from,
                "it has no {}: GPU memory can be saved by NVIDIA's drivers since 570; install a "
                "newer one",
                name);
  }

  void expect(int result, const char* what, pid_t pid) const {
    if (result == kCudaSuccess) return;
    const char* text = nullptr;
    if (error_text(result, &text) != kCudaSuccess || !text) text = "no word";
    throw_error(ErrorCode::kUnavailable, "CUDA driver", "could not {} process {}: {} ({})", what,
                pid, text, result);
  }
};

CudaDriver::CudaDriver(const std::string& library) : calls_(std::make_unique<Calls>()) {
  calls_->library = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!calls_->library) {
    throw_error(ErrorCode::kUnavailable, library,
                "a process uses a GPU, and the CUDA driver's library cannot be loaded: {}",
                dlerror());
  }
  calls_->find(calls_->init, "cuInit", library);
  calls_->find(calls_->error_text, "cuGetErrorString", library);
  calls_->find(calls_->lock, "cuCheckpointProcessLock", library);
  calls_->find(calls_->checkpoint, "cuCheckpointProcessCheckpoint", library);
  calls_->find(calls_->restore, "cuCheckpointProcessRestore", library);
  calls_->find(calls_->unlock, "cuCheckpointProcessUnlock", library);
  calls_->expect(calls_->init(0), "start for", getpid());
}

CudaDriver::~CudaDriver() = default;

void CudaDriver::take_off(pid_t pid) const {
  LockArguments patience;
  calls_->expect(calls_->lock(pid, &patience), "lock", pid);
  const int result = calls_->checkpoint(pid, nullptr);
  if (result != kCudaSuccess) calls_->unlock(pid, nullptr);
  calls_->expect(result, "take the GPU off", pid);
}

void CudaDriver::put_back(pid_t pid) const {
  calls_->expect(calls_->restore(pid, nullptr), "give the GPU back to", pid);
  calls_->expect(calls_->unlock(pid, nullptr), "unlock", pid);
}

std::vector<pid_t> users_of_devices(const std::vector<pid_t>& pids, const std::string& begin) {
  std::vector<pid_t> out;
  for (const pid_t pid : pids) {
    if (has_device(pid, begin)) out.push_back(pid);
  }
  return out;
}

CudaPause::CudaPause(const std::string& library, const std::vector<pid_t>& users) {
  if (users.empty()) return;
  driver_ = std::make_unique<CudaDriver>(library);
  try {
    for (const pid_t pid : users) {
      driver_->take_off(pid);
      paused_.push_back(pid);
    }
  } catch (const Error&) {
    end();
    throw;
  }
}

// One that cannot get it back is told by the driver, in its next call.
CudaPause::~CudaPause() {
  for (const pid_t pid : paused_) kill(pid, SIGCONT);
  try {
    end();
  } catch (const Error& error) {
    log::error("a process lost its GPU reason=\"{}\"", error.what());
  }
}

void CudaPause::end() {
  while (!paused_.empty()) {
    const pid_t pid = paused_.back();
    paused_.pop_back();
    driver_->put_back(pid);
  }
}

std::vector<pid_t> numbers_inside(const std::vector<pid_t>& pids) {
  std::vector<pid_t> out;
  for (const pid_t pid : pids) out.push_back(number_inside(pid));
  return out;
}

std::vector<pid_t> with_numbers_inside(const std::vector<pid_t>& tree,
                                       const std::vector<pid_t>& inside) {
  std::vector<pid_t> out;
  for (const pid_t pid : tree) {
    if (std::find(inside.begin(), inside.end(), number_inside(pid)) != inside.end())
      out.push_back(pid);
  }
  return out;
}

}  // namespace hearth::forge
