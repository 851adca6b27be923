#include "apps/tune_process.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "io/file.h"
#include "train/tune_config.h"

namespace hearth::apps {
namespace {

using serve::TrainingOrder;
using serve::TrainingReport;

constexpr auto kGrace = std::chrono::seconds(20);  // for the checkpoint of a stopped job
constexpr int kLowest = 19;
constexpr int kNotStarted = 127;
constexpr int64_t kCheckpointEvery = 20;  // what a power cut costs at most
// What `hearth tune` exits with when it was interrupted and the same command goes on.
constexpr int kInterrupted[] = {3, 75, 130};

// Paths in a configuration are taken from its own folder.
std::string absolute(const std::string& path) { return std::filesystem::absolute(path).string(); }

std::string config_of(const std::string& base, const TrainingOrder& order) {
  train::TuneConfig config;
  config.model.from = base;
  config.model.name = std::filesystem::path(base).filename().string();
  config.data.train = {absolute(order.training_path)};
  if (!order.validation_path.empty()) config.data.validation = {absolute(order.validation_path)};
  config.method.name = order.method;
  config.method.beta = order.beta;
  config.adapter.r = order.rank;
  config.adapter.lora_alpha = 2.0 * static_cast<double>(order.rank);
  config.optimizer.learning_rate = order.learning_rate;
  config.schedule.epochs = order.epochs;
  config.batch.examples = order.batch_size;
  config.run.out = absolute(order.folder);
  config.run.seed = order.seed;
  config.run.checkpoint_every = kCheckpointEvery;
  return train::to_toml(config);
}

// In the child, between fork and exec: only what may be called there.
[[noreturn]] void become_trainer(const char* config, int log, pid_t parent, TunePriority priority) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(kNotStarted);  // it was faster
  ::setpgid(0, 0);                                  // Ctrl-C at a terminal is the server's
  if (priority != TunePriority::kNormal) ::setpriority(PRIO_PROCESS, 0, kLowest);
  const sched_param none{};
  if (priority == TunePriority::kIdle) ::sched_setscheduler(0, SCHED_IDLE, &none);
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_UNBLOCK, &all, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::dup2(log, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  ::close_range(STDERR_FILENO + 1, ~0U, 0);
  ::execl("/proc/self/exe", "hearth", "tune", config, static_cast<char*>(nullptr));
  ::_exit(kNotStarted);
}

// What the process said last.
std::string last_words(const std::string& path) {
  std::ifstream in(path);
  std::string last;
  for (std::string line; std::getline(in, line);) {
    if (!line.empty()) last = line;
  }
  constexpr std::string_view kName = "hearth: ";
  return last.starts_with(kName) ? last.substr(kName.size()) : last;
}

TrainingReport report_of(int status, const TrainingOrder& order, const std::string& log) {
  using State = TrainingReport::State;
  if (WIFSIGNALED(status)) return {State::kStopped, {}};
  const int code = WEXITSTATUS(status);
  const bool adapter = io::file_exists(order.folder + "/adapter_model.safetensors");
  if (code == 0) return {adapter ? State::kDone : State::kStopped, {}};
  for (const int interrupted : kInterrupted) {
    if (code == interrupted) return {State::kStopped, {}};
  }
  return {State::kFailed, last_words(log)};
}

}  // namespace

TuneProcess::~TuneProcess() {
  stop();
  {
    std::unique_lock lock(mutex_);
    const bool in_time = ended_.wait_for(lock, kGrace, [this] { return child_ == 0; });
    if (!in_time) ::kill(child_, SIGKILL);
  }
  if (watcher_.joinable()) watcher_.join();
}

void TuneProcess::start(const TrainingOrder& order) {
  if (watcher_.joinable()) watcher_.join();
  const std::string config = order.folder + "/config.toml";
  io::write_file_atomic(config, config_of(base_, order));
  {
    const std::lock_guard lock(mutex_);
    report_ = {TrainingReport::State::kRunning, {}};
    asked_to_stop_ = false;
  }
  watcher_ = std::thread([this, order, config] { run(order, config); });
}

// The thread that forks has to outlive the child, which is killed with it.
void TuneProcess::run(const TrainingOrder& order, const std::string& config) {
  const std::string log_path = order.folder + "/trainer.log";
  errno = 0;
  const int log =
      ::open(log_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
  const pid_t parent = ::getpid();
  pid_t child = -1;
  {
    const std::lock_guard lock(mutex_);
    child = log < 0 || asked_to_stop_ ? -1 : ::fork();
    if (child == 0) become_trainer(config.c_str(), log, parent, priority_);
    if (child > 0) child_ = child;
  }
  const int problem = errno;
  if (log >= 0) ::close(log);
  if (child < 0) {
    if (log < 0 || problem == EAGAIN || problem == ENOMEM) {
      return end_with({TrainingReport::State::kFailed,
                       fmt::format("could not start the trainer: {}", std::strerror(problem))});
    }
    return end_with({TrainingReport::State::kStopped, {}});
  }
  log::info("tuning process started pid={} folder={}", child, order.folder);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  end_with(report_of(status, order, log_path));
}

void TuneProcess::end_with(TrainingReport report) {
  const std::lock_guard lock(mutex_);
  child_ = 0;
  report_ = std::move(report);
  ended_.notify_all();
}

TrainingReport TuneProcess::look() {
  const std::lock_guard lock(mutex_);
  TrainingReport told = report_;
  if (told.state != TrainingReport::State::kRunning) report_ = {};
  return told;
}

void TuneProcess::stop() {
  const std::lock_guard lock(mutex_);
  if (std::exchange(asked_to_stop_, true)) return;  // a second signal would not wait
  if (child_ > 0) ::kill(child_, SIGTERM);
}

}  // namespace hearth::apps
