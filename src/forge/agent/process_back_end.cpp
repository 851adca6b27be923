#include "forge/agent/process_back_end.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <sstream>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "forge/agent/process_executor.h"
#include "forge/checkpoint/cuda.h"
#include "forge/checkpoint/image_store.h"
#include "forge/checkpoint/process_image.h"
#include "forge/checkpoint/process_tree.h"
#include "io/file.h"

namespace hearth::forge {
namespace {

namespace fs = std::filesystem;

// Above whatever a restored process may have; CRIU moves them where they belong.
constexpr int kOutputHere = 200;
constexpr int kStatusHere = 201;
constexpr Millis kProbePatienceMs = 30'000;
constexpr Millis kLookForProbeMs = 20;

const char* kRestored = "/restored";
const char* kSaveFailure = "/save_failure";
const char* kRestoreFailure = "/restore_failure";
const char* kGpuUsers = "/gpu_users";  // that wait for their GPUs; gone when they have them
const char* kGpuFailure = "/gpu_failure";

double wall_seconds() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

double changed_at(const std::string& path) {
  struct stat file {};
  if (stat(path.c_str(), &file) != 0) return 0;
  return static_cast<double>(file.st_mtim.tv_sec) + static_cast<double>(file.st_mtim.tv_nsec) / 1e9;
}

void put_text(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::trunc) << text;
}
std::string get_text(const std::string& path) {
  return io::file_exists(path) ? io::read_file(path) : "";
}

// Of the agent's probe, which began when the agent did.
Criu found_criu(const std::string& path) {
  Criu criu;
  for (Millis waited = 0; !read_criu(path, criu); waited += kLookForProbeMs) {
    if (waited >= kProbePatienceMs)
      throw_error(ErrorCode::kUnavailable, path, "the agent's probe of CRIU has not ended");
    const timespec pause{0, kLookForProbeMs * 1'000'000};
    nanosleep(&pause, nullptr);
  }
  if (!criu.works()) throw_error(ErrorCode::kUnavailable, "checkpoint", "{}", criu.text);
  return criu;
}

// Signals as a program expects to find them.
void forget_signals() {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  std::signal(SIGHUP, SIG_DFL);
}

void put_in_place(int descriptor, int place) {
  dup2(descriptor, place);
  fcntl(place, F_SETFD, 0);
}

}  // namespace

std::string save_failure(const std::string& folder) { return get_text(folder + kSaveFailure); }

std::string ProcessBackEnd::scratch_name(const char* what) const {
  const Start& start = order_.start;
  return fmt::format("hearth-{}-{}.{}.{}.{}", what, start.node, start.incarnation, start.job,
                     start.epoch);
}

WorkerProcess ProcessBackEnd::start(int32_t rank, std::span<const Slot> slots) {
  if (order_.start.image.exists()) return restore();
  // A node that could never save it is no place for it: better said before the work is done.
  found_criu(order_.criu_path);
  return start_worker(order_, folder_, rank, slots, PidSpace::kOwn);
}

void ProcessBackEnd::look_after(const WorkerProcess& worker) {
  const pid_t first = rooted_ ? 0 : first_process(worker);
  if (first == 0) return;
  write_root(folder_, root_of(first));
  rooted_ = true;
  if (order_.start.image.exists())
    tell(folder_, fmt::format("restored at={:.3f}", changed_at(folder_ + kRestored)));
  if (io::file_exists(folder_ + kGpuUsers)) give_gpus_back(first);
}

// In a child: it takes as long as the devices' memory takes to be copied.
void ProcessBackEnd::give_gpus_back(pid_t first) const {
  if (fork() != 0) return;
  setsid();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  try {
    std::istringstream text(get_text(folder_ + kGpuUsers));
    const std::vector<pid_t> inside{std::istream_iterator<pid_t>(text), {}};
    const CudaDriver driver(order_.cuda_driver);
    for (const pid_t pid : with_numbers_inside(tree_of(first), inside)) driver.put_back(pid);
    unlink((folder_ + kGpuUsers).c_str());
    _exit(0);
  } catch (const std::exception& error) {
    put_text(folder_ + kGpuFailure, error.what());
  }
  ::kill(first, SIGKILL);
  _exit(1);
}

WorkerProcess ProcessBackEnd::restore() {
  const Pipe output = make_pipe(folder_), status = make_pipe(folder_);
  const pid_t pid = fork();
  if (pid < 0) throw_error(ErrorCode::kIo, folder_, "no process: {}", std::strerror(errno));
  if (pid == 0) bring_back(output, status);
  close(output.write), close(status.write);
  return {pid, output.read, status.read};
}

void ProcessBackEnd::bring_back(const Pipe& output, const Pipe& status) {
  setsid();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  forget_signals();
  try {
    join_cgroup(order_);
    // What CRIU has not finished to bring back when it is killed can be found by this.
    const std::string mark = run_mark(order_);
    setenv("HEARTH_FENCE", mark.substr(mark.find('=') + 1).c_str(), 1);
    const Criu criu = found_criu(order_.criu_path);
    const std::string scratch = unpack(output);
    const ImageFacts facts = read_facts(scratch);
    rewind_files(facts);
    if (!facts.gpu_users.empty())
      put_text(folder_ + kGpuUsers, fmt::format("{}", fmt::join(facts.gpu_users, " ")));
    put_in_place(output.write, kOutputHere);
    put_in_place(status.write, kStatusHere);
    const std::string script = write_script(
        folder_ + "/after_restore",
        fmt::format(": >'{1}{2}'\nrm -f '{0}'/*\nrmdir '{0}'", scratch, folder_, kRestored));
    // Its words outlive the image.
    put_text(folder_ + kRestoreFailure, scratch + "/restore.log");
    become_restorer(criu, {.folder = scratch,
                           .connections = order_.start.program->connections,
                           .pipes = {{kOutputHere, static_cast<ino_t>(facts.output_pipe)},
                                     {kStatusHere, static_cast<ino_t>(facts.status_pipe)}},
                           .after = script});
  } catch (const std::exception& error) {
    put_text(folder_ + kRestoreFailure, error.what());
  }
  _exit(1);
}

// The image that the order names. Where a loss of power has damaged that one, the newest before it
// that is whole, as if the node had died then. Returns the folder with its files.
std::string ProcessBackEnd::unpack(const Pipe& output) const {
  const double began = wall_seconds();
  const ImageStore store(order_.images);
  ImageRef image = order_.start.image;
  for (;;) {
    const std::string scratch = make_scratch(scratch_name("restore"), image.bytes, order_.images);
    try {
      store.unpack(order_.start.job, image.epoch, image.number, scratch);
      tell(folder_, fmt::format("restore={}.{} began={:.3f} unpack_s={:.3f}", image.epoch,
                                image.number, began, wall_seconds() - began));
      return scratch;
    } catch (const Error& error) {
      if (error.code != ErrorCode::kDataLoss) throw;
      const io::ChunkVersion before = store.discard(order_.start.job, image.epoch, image.number);
      if (before == io::ChunkVersion()) throw;
      dprintf(output.write, "hearth: its image %ld.%d is damaged, it goes on from %s: %s\n",
              image.epoch, image.number, before.name().c_str(), error.what());
      image = {before.major, static_cast<int32_t>(before.minor), image.bytes};
    }
  }
}

std::string ProcessBackEnd::restore_failure() const {
  if (!order_.start.image.exists()) return {};
  if (io::file_exists(folder_ + kRestored)) return get_text(folder_ + kGpuFailure);
  const std::string text = get_text(folder_ + kRestoreFailure);
  return text.ends_with("/restore.log") ? complaint(text) : text;
}

pid_t ProcessBackEnd::root(const WorkerProcess& worker) const {
  return io::file_exists(folder_ + kGpuUsers) ? 0 : first_process(worker);
}

pid_t ProcessBackEnd::first_process(const WorkerProcess& worker) const {
  if (!order_.start.image.exists()) return worker.pid;
  if (!io::file_exists(folder_ + kRestored)) return 0;
  const std::vector<pid_t> children = children_of(worker.pid);
  return children.empty() ? 0 : children[0];
}

pid_t ProcessBackEnd::save(const WorkerProcess& worker, AfterSave after, const ImageRef& image) {
  const pid_t first = root(worker);
  if (first == 0) return 0;
  std::error_code ignored;
  fs::remove(folder_ + kSaveFailure, ignored);
  const pid_t pid = fork();
  if (pid != 0) return pid;
  setsid();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  forget_signals();
  try {
    write_down(first, after, image);
    _exit(0);
  } catch (const std::exception& error) {
    put_text(folder_ + kSaveFailure, error.what());
  }
  _exit(1);
}

void ProcessBackEnd::write_down(pid_t first, AfterSave after, const ImageRef& image) {
  const Criu criu = found_criu(order_.criu_path);
  const double began = wall_seconds();
  const std::vector<pid_t> gpu_users = users_of_devices(tree_of(first));
  CudaPause gpus(order_.cuda_driver, gpu_users);
  ImageFacts facts{.output_pipe = static_cast<int64_t>(pipe_of(first, STDOUT_FILENO)),
                   .status_pipe = static_cast<int64_t>(pipe_of(first, kStatusDescriptor)),
                   .written = {},
                   .gpu_users = numbers_inside(gpu_users)};
  const std::string scratch =
      make_scratch(scratch_name("save"), resident_bytes(tree_of(first)), order_.images);
  dump_processes(
      criu, {.root = first,
             .folder = scratch,
             .after = after == AfterSave::kEnds ? AfterDump::kStaysStopped : AfterDump::kGoesOn,
             .connections = order_.start.program->connections});
  const double dumped = wall_seconds();
  if (after == AfterSave::kGoesOn) gpus.end();
  facts.written = written_files(io::read_file(scratch + "/files.img"));
  // What has no name any more is in the image itself.
  std::erase_if(facts.written, [](const WrittenFile& file) { return !io::file_exists(file.path); });
  write_facts(scratch, facts);
  // Who waits for its devices, and who waits to go on, need not wait for a disk: until clean_up()
  // has forced it there, a loss of power takes the job back to the image before, as it does at any
  // other time.
  const io::ChunkReport report =
      ImageStore(order_.images)
          .pack(order_.start.job, image.epoch, image.number, scratch,
                after == AfterSave::kEnds ? io::Durable::kLater : io::Durable::kNow);
  write_image(folder_, {image.epoch, image.number, report.bytes});
  gpus.abandon();
  tell(folder_, fmt::format("image={}.{} began={:.3f} dump_s={:.3f} pack_s={:.3f} disk_s={:.3f} "
                            "bytes={} fresh={} stored={}",
                            image.epoch, image.number, began, dumped - began, report.pack_seconds,
                            report.disk_seconds, report.bytes, report.fresh, report.stored));
  // Memory is given back by clean_up() where somebody waits for the end of this.
  if (after == AfterSave::kGoesOn) remove_flat(scratch);
}

void ProcessBackEnd::go_on(const WorkerProcess& worker) {
  for (pid_t pid : tree_of(root(worker))) ::kill(pid, SIGCONT);
}

// Who is not back yet has nothing to say to a signal: its image stays what it was.
void ProcessBackEnd::ask_to_stop(const WorkerProcess& worker) {
  const pid_t first = root(worker);
  if (first > 0) ::kill(first, SIGTERM);
  if (first == 0) kill(worker);
}

// The first process takes all others of its namespace with it.
void ProcessBackEnd::kill(const WorkerProcess& worker) {
  if (const pid_t first = root(worker); first > 0) ::kill(first, SIGKILL);
  ::kill(-worker.pid, SIGKILL);
}

void ProcessBackEnd::clean_up(const ImageRef& newest) {
  for (const char* what : {"save", "restore"}) remove_scratch(scratch_name(what), order_.images);
  if (newest.exists())
    ImageStore(order_.images).settle(order_.start.job, newest.epoch, newest.number);
}

}  // namespace hearth::forge
