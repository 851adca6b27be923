#include "forge/agent/keeper.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <utility>

#include "base/error.h"
#include "forge/agent/back_end.h"
#include "forge/agent/process_executor.h"
#include "forge/agent/run_folder.h"
#include "forge/agent/worker_process.h"
#include "io/file.h"

namespace hearth::forge {
namespace {

constexpr int kLookMs = 50;             // between two looks at the fence and the grace
constexpr int kLookElsewhereMs = 250;   // the same, where they come over a network
constexpr Millis kSaveMsMax = 600'000;  // what takes longer than that hangs
constexpr int32_t kNotStarted = 126;

Millis wall_millis() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<Millis>(now.tv_sec) * 1'000 + now.tv_nsec / 1'000'000;
}

// "2,3" for two slots: the devices that they have in truth. Other words leave the order's.
void renumber(Placement& slots, const std::string& devices) {
  std::vector<int32_t> numbers;
  for (size_t at = 0; at < devices.size();) {
    const size_t end = std::min(devices.find(',', at), devices.size());
    int32_t number = 0;
    const auto [stopped, failed] =
        std::from_chars(devices.data() + at, devices.data() + end, number);
    if (failed != std::errc() || stopped != devices.data() + end) return;
    numbers.push_back(number);
    at = end + 1;
  }
  if (numbers.size() != slots.size()) return;
  for (size_t i = 0; i < slots.size(); ++i) slots[i].device = numbers[i];
}

class Keeper {
 public:
  Keeper(std::string folder, const KeeperTerms& terms)
      : folder_(std::move(folder)), terms_(terms) {}

  int run() {
    take_signals();
    // Held until this process ends. Whoever finds it free may write the end of this run.
    if (lock_run(folder_) < 0 || read_exit(folder_)) return 0;
    order_ = read_order(folder_);
    renumber(order_.start.slots, terms_.devices);
    back_end_ = make_back_end(order_, folder_);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    start_workers();
    next_save_ = clock_millis() + save_every();
    while (std::any_of(workers_.begin(), workers_.end(), [](const auto& w) { return !w.ended; }))
      turn();
    sweep();
    for (Kept& worker : workers_) copy_log(worker);
    report_restore();
    write_exit(folder_, {outcome(), statuses(), note_, image_});
    clean_up();
    return 0;
  }

 private:
  struct Kept {
    WorkerProcess process;
    int log = -1;
    int64_t logged = 0;
    bool ended = false;
    int32_t status = 0;
  };

  // Before the lock: who has the lock can be sent signals.
  void take_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (int signal : {SIGTERM, SIGINT, SIGCHLD}) {
      std::signal(signal, SIG_DFL);
      sigaddset(&set, signal);
    }
    std::signal(SIGHUP, SIG_IGN);
    sigprocmask(SIG_SETMASK, &set, nullptr);
    signals_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  }

  void start_workers() {
    // A fence that has passed is a start that nobody wants any more.
    if (clock_millis() >= fence()) return note_end("its lease was over before it started");
    const Start& start = order_.start;
    const bool each = !start.program || start.program->spawn == Spawn::kPerWorker;
    for (size_t first = 0; first < start.slots.size();) {
      const size_t count = each ? 1 : start.slots.size();
      const auto rank = start.first_rank + static_cast<int32_t>(first);
      Kept kept;
      kept.log =
          open(log_path(folder_, rank).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
      try {
        kept.process = back_end_->start(rank, {&start.slots[first], count});
      } catch (const Error& error) {
        // No place for this job: a failure that its owner reads about in the log.
        say(kept, error.what());
        kept.ended = true, kept.status = kNotStarted;
      }
      workers_.push_back(kept);
      first += count;
    }
  }

  Millis save_every() const {
    return order_.start.program ? order_.start.program->checkpoint_every_ms : 0;
  }

  void say(const Kept& worker, const std::string& text) const {
    const std::string line = "hearth: " + text + "\n";
    (void)!write(worker.log, line.data(), line.size());
  }

  // Words in the log, as a command that cannot be executed leaves them.
  void report_restore() {
    const std::string why = back_end_->restore_failure();
    if (why.empty() || asked_ || fenced_) return;
    const ImageRef& from = order_.start.image;
    for (const Kept& worker : workers_)
      say(worker, fmt::format("its image {}.{} could not be brought back: {}", from.epoch,
                              from.number, why));
  }

  // Its agent waits for the end of this process, and somebody for the devices; a child has time.
  void clean_up() {
    const pid_t pid = fork();
    if (pid > 0) return;
    if (pid == 0) setsid();
    try {
      back_end_->clean_up(image_);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "cleaning up: %s\n", error.what());
    }
    if (pid == 0) _exit(0);
  }

  void note_end(const std::string& why) {
    fenced_ = true;
    note_ = why;
  }

  void turn() {
    std::vector<pollfd> wait{{signals_, POLLIN, 0}};
    for (const Kept& worker : workers_) {
      if (worker.process.output >= 0) wait.push_back({worker.process.output, POLLIN, 0});
    }
    poll(wait.data(), wait.size(), here() ? kLookMs : kLookElsewhereMs);
    take_requests();
    if (!here()) take_written_request();
    for (Kept& worker : workers_) {
      copy_log(worker);
      if (!worker.ended) back_end_->look_after(worker.process);
    }
    reap();
    const Millis now = clock_millis();
    if (!fenced_ && now >= fence()) {
      note_end("its agent was silent for a lease");
      kill_all();
    }
    if (stopping_ && now >= kill_at_) kill_all();
    const bool due = save_every() > 0 && now >= next_save_;
    if (due && saver_ == 0 && !asked_ && !fenced_) begin_save(AfterSave::kGoesOn);
    // CRIU that is killed in the middle leaves processes behind that nobody should go on with.
    if (saver_ > 0 && now >= saving_since_ + kSaveMsMax) kill_all();
  }

  // False: the workers have to save themselves.
  bool begin_save(AfterSave after) {
    if (workers_.size() != 1 || workers_[0].ended) return false;
    after_save_ = after;
    saving_since_ = clock_millis();
    const Epoch epoch = order_.start.epoch;
    saver_ = back_end_->save(workers_[0].process, after, {epoch, image_.number + 1, 0});
    return saver_ > 0;
  }

  void saver_ended(int status) {
    saver_ = 0;
    next_save_ = clock_millis() + save_every();
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
      image_ = read_image(folder_);
      saved_ = after_save_ == AfterSave::kEnds;
      if (saved_) return kill_all();
    } else if (!fenced_ && !workers_[0].ended) {
      const std::string why = save_failure(folder_);
      say(workers_[0], "it could not be saved: " + (why.empty() ? "CRIU was killed" : why));
      if (after_save_ == AfterSave::kEnds) {
        back_end_->go_on(workers_[0].process);
        return ask_to_stop();
      }
    }
    if (save_and_stop_) stop_with_save();
  }

  // One thing at a time: an image that is being made is finished first.
  void stop_with_save() {
    if (saver_ > 0 || saved_) return;
    if (!begin_save(AfterSave::kEnds)) ask_to_stop();
  }

  void take_requests() {
    signalfd_siginfo info{};
    while (read(signals_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      if (info.ssi_signo == SIGTERM) {
        asked_ = true;
        // It comes again and again.
        if (!std::exchange(save_and_stop_, true)) stop_with_save();
      } else if (info.ssi_signo == SIGINT) {
        asked_ = true;
        kill_all();
      }
    }
  }

  void take_written_request() {
    const std::string path = folder_ + "/stop";
    if (!io::file_exists(path)) return;
    asked_ = true;
    ask_to_stop();
    if (io::read_file(path) == "kill") kill_all();
  }

  bool here() const { return terms_.place == KeeperPlace::kHere; }
  Millis clock_millis() const { return here() ? boot_millis() : wall_millis(); }

  void ask_to_stop() {
    if (stopping_) return;
    stopping_ = true;
    kill_at_ = clock_millis() + (order_.start.program ? order_.start.program->grace_ms : 0);
    for (const Kept& worker : workers_) {
      if (!worker.ended) back_end_->ask_to_stop(worker.process);
    }
  }

  void kill_all() {
    for (const Kept& worker : workers_) {
      if (!worker.ended) back_end_->kill(worker.process);
    }
    if (saver_ > 0) kill(-saver_, SIGKILL);
  }

  void reap() {
    int status = 0;
    for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
      if (pid == saver_) {
        saver_ended(status);
        continue;
      }
      for (Kept& worker : workers_) {
        if (worker.process.pid != pid) continue;
        worker.ended = true;
        worker.status = status_of(worker, status);
        // A gang that lost one is stopped; the others may save what they have.
        if (worker.status != 0) ask_to_stop();
      }
    }
  }

  // In a namespace the first process says how the program ended. Where it had no time to, it was
  // killed, whatever the process says that held it.
  static int32_t status_of(const Kept& worker, int status) {
    if (worker.process.status < 0)
      return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    char text[16] = {};
    const ssize_t n = read(worker.process.status, text, sizeof text - 1);
    return n > 0 ? std::atoi(text) : -SIGKILL;
  }

  // Nothing of the run lives when this returns: every orphan has become a child of this process.
  void sweep() {
    const std::string mark = run_mark(order_);
    for (;;) {
      int status = 0;
      const pid_t pid = waitpid(-1, &status, WNOHANG);
      if (pid < 0 && errno == ECHILD) break;
      if (pid > 0) continue;
      for (pid_t child : children()) kill(child, SIGKILL);
      kill_marked(mark, kLookMs);
    }
    kill_cgroup(order_);
  }

  static std::vector<pid_t> children() {
    std::ifstream in(fmt::format("/proc/self/task/{}/children", getpid()));
    std::vector<pid_t> out;
    for (pid_t pid = 0; in >> pid;) out.push_back(pid);
    return out;
  }

  void copy_log(Kept& worker) {
    char part[16384];
    for (;;) {
      if (worker.process.output < 0) return;
      const ssize_t n = read(worker.process.output, part, sizeof part);
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (n <= 0) {
        close(worker.process.output);
        worker.process.output = -1;
        return;
      }
      const int64_t room = std::max<int64_t>(0, terms_.log_bytes_max - worker.logged);
      const auto kept = static_cast<size_t>(std::min<int64_t>(n, room));
      if (kept > 0 && write(worker.log, part, kept) < 0) note_ = "its log could not be written";
      if (kept < static_cast<size_t>(n) && note_.empty())
        note_ = fmt::format("its log is longer than {} MiB: the rest was dropped",
                            terms_.log_bytes_max >> 20);
      worker.logged += n;
    }
  }

  std::vector<int32_t> statuses() const {
    std::vector<int32_t> out;
    for (const Kept& worker : workers_) out.push_back(worker.status);
    return out;
  }

  Outcome outcome() const {
    if (fenced_) return Outcome::kKilled;
    const auto all = [&](auto holds) {
      return std::all_of(workers_.begin(), workers_.end(),
                         [&](const Kept& worker) { return holds(worker.status); });
    };
    if (all([](int32_t status) { return status == 0; })) return Outcome::kSucceeded;
    if (saved_) return Outcome::kSaved;
    if (!asked_) return Outcome::kFailed;
    const bool safe =
        all([&](int32_t status) { return status == 0 || back_end_->is_saved(status); });
    return safe ? Outcome::kSaved : Outcome::kKilled;
  }

  Millis fence() const {
    int64_t at = 0;
    const int fd = open(order_.fence_path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    const bool whole = pread(fd, &at, sizeof at, 0) == static_cast<ssize_t>(sizeof at);
    close(fd);
    return whole ? at : 0;
  }

  std::string folder_;
  KeeperTerms terms_;
  RunOrder order_;
  std::unique_ptr<CheckpointBackEnd> back_end_;
  int signals_ = -1;
  std::vector<Kept> workers_;
  bool asked_ = false;
  bool stopping_ = false;
  bool fenced_ = false;
  Millis kill_at_ = 0;
  pid_t saver_ = 0;  // makes an image
  AfterSave after_save_ = AfterSave::kGoesOn;
  Millis saving_since_ = 0;
  Millis next_save_ = 0;
  ImageRef image_;  // the newest of this run
  bool save_and_stop_ = false;
  bool saved_ = false;  // for its end
  std::string note_;
};

}  // namespace

int keep_run(const std::string& folder, const KeeperTerms& terms) {
  return Keeper(folder, terms).run();
}

}  // namespace hearth::forge
