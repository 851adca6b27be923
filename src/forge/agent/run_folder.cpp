#include "forge/agent/run_folder.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <sstream>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "forge/codec/binary.h"
#include "forge/codec/fields.h"
#include "io/file.h"

namespace hearth::forge {
namespace {

constexpr Millis kLookAgainMs = 10;
constexpr const char* kStory = "/story";
constexpr const char* kRoom = "/exit.room";
constexpr off_t kRoomBytes = 4096;

template <typename T>
void write_record(const std::string& path, const T& value) {
  codec::Writer out;
  out.put(value);
  io::write_file_atomic(path, out.bytes());
}

// In place, and renamed: neither takes more of the disk.
bool write_into_room(const std::string& folder, std::string_view bytes) {
  const std::string room = folder + kRoom;
  const auto size = static_cast<ssize_t>(bytes.size());
  const int fd = open(room.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool written = size <= kRoomBytes && pwrite(fd, bytes.data(), bytes.size(), 0) == size &&
                       ftruncate(fd, size) == 0 && fsync(fd) == 0;
  close(fd);
  return written && rename(room.c_str(), (folder + "/exit").c_str()) == 0;
}

struct flock whole_file(short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

// Short reads of /proc; a process that has gone reads as nothing.
std::string read_all(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  std::string out;
  if (fd < 0) return out;
  char part[16384];
  for (ssize_t n = 0; (n = read(fd, part, sizeof part)) > 0;)
    out.append(part, static_cast<size_t>(n));
  close(fd);
  return out;
}

// The fields of /proc/PID/stat after the name, which may hold anything: the state is the first.
std::vector<std::string> stat_of(pid_t pid) {
  const std::string stat = read_all(fmt::format("/proc/{}/stat", pid));
  const size_t name_end = stat.rfind(')');
  std::vector<std::string> out;
  if (name_end == std::string::npos) return out;
  std::istringstream fields(stat.substr(name_end + 1));
  for (std::string field; fields >> field;) out.push_back(field);
  return out;
}

constexpr size_t kStartTime = 19;  // of those fields

bool is_zombie(pid_t pid) {
  const std::vector<std::string> stat = stat_of(pid);
  return !stat.empty() && stat[0] == "Z";
}

template <typename T>
T read_record(const std::string& path) {
  T out;
  if (!io::file_exists(path)) return out;
  const std::string bytes = io::read_file(path);
  codec::Reader(bytes).get(out);
  return out;
}

}  // namespace

template <typename A, Is<RunOrder> T>
void fields(A& a, T& v) {
  a(v.start, v.node, v.fence_path, v.cgroup, v.device_variable, v.criu_path, v.images,
    v.cuda_driver, v.home);
}
template <typename A, Is<RunExit> T>
void fields(A& a, T& v) {
  a(v.outcome, v.statuses, v.note, v.image);
}
template <typename A, Is<RunRoot> T>
void fields(A& a, T& v) {
  a(v.pid, v.started);
}

std::string run_folder(const std::string& dir, RunName run) {
  return fmt::format("{}/{}.{}", dir, run.job, run.epoch);
}

std::vector<RunName> runs_in(const std::string& dir) {
  std::vector<RunName> out;
  // An agent that was killed while it began an incarnation has made no folder yet.
  std::error_code absent;
  for (const auto& entry : std::filesystem::directory_iterator(dir, absent)) {
    RunName run;
    const std::string name = entry.path().filename();
    if (std::sscanf(name.c_str(), "%d.%ld", &run.job, &run.epoch) == 2) out.push_back(run);
  }
  return out;
}

void write_order(const std::string& folder, const RunOrder& order) {
  write_record(folder + "/order", order);
}

RunOrder read_order(const std::string& folder) {
  RunOrder order;
  codec::Reader(io::read_file(folder + "/order")).get(order);
  return order;
}

void make_room_for_exit(const std::string& folder) {
  const std::string path = folder + kRoom;
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
  const int failed = fd < 0 ? errno : posix_fallocate(fd, 0, kRoomBytes);
  if (fd >= 0) close(fd);
  if (failed != 0) throw_error(ErrorCode::kIo, path, "cannot be made: {}", std::strerror(failed));
}

void write_exit(const std::string& folder, const RunExit& exit) {
  codec::Writer out;
  out.put(exit);
  try {
    io::write_file_atomic(folder + "/exit", out.bytes());
  } catch (const Error&) {
    if (!write_into_room(folder, out.bytes())) throw;
  }
  unlink((folder + kRoom).c_str());
}

std::optional<RunExit> read_exit(const std::string& folder) {
  if (!io::file_exists(folder + "/exit")) return std::nullopt;
  RunExit exit;
  const std::string bytes = io::read_file(folder + "/exit");
  codec::Reader(bytes).get(exit);
  return exit;
}

void write_image(const std::string& folder, const ImageRef& image) {
  write_record(folder + "/image", image);
}

ImageRef read_image(const std::string& folder) { return read_record<ImageRef>(folder + "/image"); }

void tell(const std::string& folder, const std::string& line) {
  const int fd = open((folder + kStory).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (fd < 0) return;
  const std::string whole = line + "\n";
  (void)!write(fd, whole.data(), whole.size());
  close(fd);
}

std::vector<std::string> told(const std::string& folder, size_t& offset) {
  std::vector<std::string> out;
  if (!io::file_exists(folder + kStory)) return out;
  const std::string all = io::read_file(folder + kStory);
  for (size_t end = 0; (end = all.find('\n', offset)) != std::string::npos; offset = end + 1)
    out.push_back(all.substr(offset, end - offset));
  return out;
}

RunRoot root_of(pid_t pid) {
  const std::vector<std::string> stat = stat_of(pid);
  return {pid, stat.size() > kStartTime ? std::stoll(stat[kStartTime]) : 0};
}

void write_root(const std::string& folder, const RunRoot& root) {
  write_record(folder + "/root", root);
}

RunRoot read_root(const std::string& folder) { return read_record<RunRoot>(folder + "/root"); }

bool is_alive(const RunRoot& root) {
  if (root.pid <= 0) return false;
  const RunRoot now = root_of(root.pid);
  return now.started > 0 && now.started == root.started && !is_zombie(root.pid);
}

int lock_run(const std::string& folder) {
  const std::string path = folder + "/lock";
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) throw_error(ErrorCode::kIo, path, "cannot be opened: {}", std::strerror(errno));
  struct flock lock = whole_file(F_WRLCK);
  if (fcntl(fd, F_SETLK, &lock) == 0) return fd;
  close(fd);
  return -1;
}

pid_t run_keeper(const std::string& folder) {
  const int fd = open((folder + "/lock").c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return 0;
  struct flock lock = whole_file(F_WRLCK);
  const bool asked = fcntl(fd, F_GETLK, &lock) == 0;
  close(fd);
  return asked && lock.l_type != F_UNLCK ? lock.l_pid : 0;
}

std::string log_path(const std::string& folder, int32_t rank) {
  return fmt::format("{}/{}.log", folder, rank);
}

std::string run_mark(const RunOrder& order) {
  const Start& start = order.start;
  return fmt::format("HEARTH_FENCE={}{}.{}.{}", order.home.empty() ? "" : order.home + ".",
                     start.job, start.epoch, start.incarnation);
}

std::vector<pid_t> marked_processes(const std::string& mark) {
  std::vector<pid_t> out;
  DIR* proc = opendir("/proc");
  if (!proc) return out;
  const std::string first = mark + '\0', later = '\0' + first;
  while (const dirent* entry = readdir(proc)) {
    const auto pid = static_cast<pid_t>(std::atoi(entry->d_name));
    if (pid <= 1 || pid == getpid()) continue;
    const std::string environment = read_all(fmt::format("/proc/{}/environ", pid));
    const bool marked =
        environment.starts_with(first) || environment.find(later) != std::string::npos;
    if (marked && !is_zombie(pid)) out.push_back(pid);
  }
  closedir(proc);
  return out;
}

bool kill_marked(const std::string& mark, Millis patience_ms) {
  for (Millis waited = 0;; waited += kLookAgainMs) {
    const std::vector<pid_t> alive = marked_processes(mark);
    if (alive.empty()) return true;
    if (waited >= patience_ms) return false;
    for (pid_t pid : alive) kill(pid, SIGKILL);
    const timespec pause{0, kLookAgainMs * 1'000'000};
    nanosleep(&pause, nullptr);
  }
}

}  // namespace hearth::forge
