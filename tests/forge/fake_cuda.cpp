// A stand-in for the CUDA driver's library: writes its calls into the file FAKE_CUDA_CALLS, and
// fails where FAKE_CUDA_FAILS says, as "cuCheckpointProcessRestore 17": that call for that process.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

constexpr int kNotPermitted = 800;

int record(const char* name, int pid, const std::string& more = "") {
  const std::string call = std::string(name) + " " + std::to_string(pid);
  if (const char* path = std::getenv("FAKE_CUDA_CALLS")) {
    std::FILE* out = std::fopen(path, "ae");
    std::fprintf(out, "%s%s\n", call.c_str(), more.c_str());
    std::fclose(out);
  }
  const char* fails = std::getenv("FAKE_CUDA_FAILS");
  return fails && call == fails ? kNotPermitted : 0;
}

struct LockArgs {
  unsigned timeout_ms;
  unsigned reserved_word;
  uint64_t reserved[7];
};

}  // namespace

extern "C" {

int cuInit(unsigned flags) { return flags == 0 ? 0 : kNotPermitted; }

int cuGetErrorString(int error, const char** text) {
  *text = error == kNotPermitted ? "operation not permitted" : "no error";
  return 0;
}

int cuCheckpointProcessLock(int pid, LockArgs* args) {
  for (const uint64_t word : args->reserved) {
    if (word != 0 || args->reserved_word != 0) return kNotPermitted;
  }
  return record("cuCheckpointProcessLock", pid, args->timeout_ms > 0 ? " with patience" : "");
}
int cuCheckpointProcessCheckpoint(int pid, void*) {
  return record("cuCheckpointProcessCheckpoint", pid);
}
int cuCheckpointProcessRestore(int pid, void*) { return record("cuCheckpointProcessRestore", pid); }
int cuCheckpointProcessUnlock(int pid, void*) { return record("cuCheckpointProcessUnlock", pid); }

}  // extern "C"
