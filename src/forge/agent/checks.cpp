#include "forge/agent/checks.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <sched.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "forge/agent/baselines.h"
#include "forge/agent/process_executor.h"

namespace hearth::forge {
namespace {

namespace fs = std::filesystem;

constexpr size_t kDiskBytes = size_t{1} << 20;
constexpr double kFreeMin = 0.01;                // of the disk
constexpr int kSide = 64;                        // of the matrices
constexpr size_t kCopyBytes = size_t{32} << 20;  // more than caches hold
constexpr int kCopyRounds = 4;
// Below this every link is as good as any: a node whose cores are all at work answers late.
constexpr double kRoundTripFloorMs = 20;

CheckResult check_disk(const CheckOptions& options) {
  const std::string path = options.folder + "/check";
  const int64_t begun = boot_millis();
  std::string bytes(kDiskBytes, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>((i * 2654435761U) >> 13);
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const bool written =
      fd >= 0 && write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()) &&
      fsync(fd) == 0;
  const std::string why = written ? "" : std::strerror(errno);
  std::string back(bytes.size(), '\0');
  if (written) posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  const bool same = written &&
                    pread(fd, back.data(), back.size(), 0) == static_cast<ssize_t>(back.size()) &&
                    back == bytes;
  if (fd >= 0) close(fd);
  unlink(path.c_str());
  const int64_t took = boot_millis() - begun;
  if (!written) return {"disk", false, "cannot be written: " + why};
  if (!same) return {"disk", false, "gives back other bytes than were written"};
  return {"disk", took <= options.disk_ms_max,
          fmt::format("1 MiB took {} ms, at most {}", took, options.disk_ms_max)};
}

CheckResult check_space(const CheckOptions& options) {
  struct statvfs disk {};
  if (statvfs(options.folder.c_str(), &disk) != 0) return {"space", false, std::strerror(errno)};
  const double free =
      static_cast<double>(disk.f_bavail) / std::max<double>(1, static_cast<double>(disk.f_blocks));
  return {"space", free >= kFreeMin, fmt::format("{:.1f} % of the disk is free", free * 100)};
}

CheckResult check_memory(const CheckOptions& options) {
  std::vector<uint64_t> memory(static_cast<size_t>(options.memory_bytes) / sizeof(uint64_t));
  for (const uint64_t pattern : {0x5555'5555'5555'5555U, 0xaaaa'aaaa'aaaa'aaaaU}) {
    for (size_t i = 0; i < memory.size(); ++i) memory[i] = pattern ^ i;
    // The compiler must not know what it wrote.
    asm volatile("" : : "r"(memory.data()) : "memory");
    CheckResult result = check_pattern(memory, pattern);
    if (!result.good) return result;
  }
  return {"memory", true, fmt::format("{} MiB hold two patterns", options.memory_bytes >> 20)};
}

int64_t read_number(const fs::path& path) {
  std::ifstream in(path);
  int64_t value = 0;
  return in >> value ? value : 0;
}

// What the memory controllers could not correct, where the kernel counts it.
CheckResult check_memory_errors() {
  int64_t errors = 0;
  std::error_code absent;
  for (const auto& entry : fs::directory_iterator("/sys/devices/system/edac/mc", absent))
    errors += read_number(entry.path() / "ue_count");
  return {"memory errors", errors == 0, fmt::format("{} that could not be corrected", errors)};
}

CheckResult check_gpus(const CheckOptions& options) {
  int32_t found = 0;
  while (fs::exists(fmt::format("/dev/nvidia{}", found))) ++found;
  return {"devices", found == options.gpus,
          fmt::format("{} of {} device files are there", found, options.gpus)};
}

// The agent has threads, so the child does nothing but exec.
CheckResult check_command(const CheckOptions& options) {
  const pid_t pid = fork();
  if (pid < 0) return {"site", false, std::strerror(errno)};
  if (pid == 0) {
    execl("/bin/sh", "sh", "-c", options.command.c_str(), nullptr);
    _exit(127);
  }
  const int64_t end = boot_millis() + options.command_ms;
  int status = 0;
  while (waitpid(pid, &status, WNOHANG) == 0) {
    if (boot_millis() >= end) {
      kill(pid, SIGKILL);
      waitpid(pid, &status, 0);
      return {"site", false, fmt::format("took longer than {} ms", options.command_ms)};
    }
    const timespec pause{0, 10'000'000};
    nanosleep(&pause, nullptr);
  }
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return {"site", code == 0, fmt::format("'{}' ended with {}", options.command, code)};
}

// Whole numbers below 2^24 are exact in float, whatever the order of the sums.
int64_t product_sum() {
  std::array<std::array<float, kSide>, kSide> a, b;
  for (int i = 0; i < kSide; ++i) {
    for (int j = 0; j < kSide; ++j) {
      a[i][j] = static_cast<float>((i * 7 + j * 3) % 11 - 5);
      b[i][j] = static_cast<float>((i * 5 + j * 13) % 17 - 8);
    }
  }
  // The compiler must not know the product.
  asm volatile("" : : "r"(a.data()), "r"(b.data()) : "memory");
  int64_t sum = 0;
  for (int i = 0; i < kSide; ++i) {
    for (int j = 0; j < kSide; ++j) {
      float cell = 0;
      for (int k = 0; k < kSide; ++k) cell += a[i][k] * b[k][j];
      sum = sum * 31 + static_cast<int64_t>(cell);
      sum &= 0xffff'ffff'ffff;
    }
  }
  return sum;
}

// The same in whole numbers: no floating point unit takes part.
int64_t expected_sum() {
  int64_t sum = 0;
  for (int i = 0; i < kSide; ++i) {
    for (int j = 0; j < kSide; ++j) {
      int64_t cell = 0;
      for (int k = 0; k < kSide; ++k)
        cell += int64_t{(i * 7 + k * 3) % 11 - 5} * ((k * 5 + j * 13) % 17 - 8);
      sum = sum * 31 + cell;
      sum &= 0xffff'ffff'ffff;
    }
  }
  return sum;
}

// What one core copies in a second of its own time, so that others who run here do not count.
double copy_speed() {
  std::vector<char> from(kCopyBytes, 'x'), to(kCopyBytes);
  double best = 0;
  for (int round = 0; round < kCopyRounds; ++round) {
    timespec begun{}, ended{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begun);
    std::memcpy(to.data(), from.data(), kCopyBytes);
    asm volatile("" : : "r"(to.data()) : "memory");
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ended);
    const double seconds = static_cast<double>(ended.tv_sec - begun.tv_sec) +
                           static_cast<double>(ended.tv_nsec - begun.tv_nsec) * 1e-9;
    best = std::max(best, static_cast<double>(kCopyBytes) / std::max(seconds, 1e-9) * 1e-9);
  }
  return best;
}

void check_speeds(const CheckOptions& options, std::vector<CheckResult>& out) {
  Baselines baselines(options.baselines, hardware_name());
  out.push_back(baselines.judge("memory speed", copy_speed(), "GB/s copied"));
  // A link that is busy now and then is well; one that never answers quickly is not.
  if (options.reach)
    out.push_back(baselines.judge("link",
                                  1'000 / std::max(options.reach->round_trip_ms, kRoundTripFloorMs),
                                  "round trips a second to the server"));
}

}  // namespace

CheckResult check_clock(const Reach& reach, double ahead_ms_max) {
  // A server says its time in whole seconds.
  const double seconds = std::abs(reach.ahead_ms) < 1'000 ? 0 : reach.ahead_ms / 1'000;
  return {"clock", std::abs(reach.ahead_ms) <= ahead_ms_max,
          seconds == 0 ? "the server's time, to a second"
                       : fmt::format("{:.1f} s {} the server's", std::abs(seconds),
                                     seconds < 0 ? "ahead of" : "behind")};
}

CheckResult check_pattern(const std::vector<uint64_t>& memory, uint64_t pattern) {
  for (size_t i = 0; i < memory.size(); ++i) {
    const uint64_t wrong = memory[i] ^ pattern ^ i;
    if (wrong != 0) return {"memory", false, fmt::format("word {} has wrong bits {:#x}", i, wrong)};
  }
  return {"memory", true, ""};
}

CheckResult check_arithmetic() {
  cpu_set_t before;
  CPU_ZERO(&before);
  if (sched_getaffinity(0, sizeof before, &before) != 0) return {"arithmetic", true, "not tried"};
  CheckResult result{"arithmetic", true, ""};
  int cores = 0;
  const int64_t expected = expected_sum();
  for (int core = 0; core < CPU_SETSIZE && result.good; ++core) {
    if (!CPU_ISSET(core, &before)) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0) continue;
    ++cores;
    if (product_sum() != expected)
      result = {"arithmetic", false, fmt::format("core {} multiplies wrongly", core)};
  }
  sched_setaffinity(0, sizeof before, &before);
  if (result.good) result.text = fmt::format("{} cores multiply rightly", cores);
  return result;
}

std::vector<CheckResult> run_checks(const CheckOptions& options) {
  std::vector<CheckResult> out{check_disk(options), check_space(options), check_memory(options),
                               check_arithmetic(), check_memory_errors()};
  if (options.gpus >= 0) out.push_back(check_gpus(options));
  if (options.reach) out.push_back(check_clock(*options.reach, options.ahead_ms_max));
  if (!options.baselines.empty()) check_speeds(options, out);
  if (!options.command.empty()) out.push_back(check_command(options));
  return out;
}

}  // namespace hearth::forge
