#include "forge/slurm/commands.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"

extern char** environ;

namespace hearth::forge {
namespace {

constexpr size_t kAnswerBytesMax = size_t{256} << 20;

int64_t millis_now() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::string last_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

// A pipe's reading end, with what came out of it.
struct Ear {
  int fd = -1;
  std::string* text = nullptr;

  void listen() {
    char part[65536];
    const ssize_t n = read(fd, part, sizeof part);
    if (n < 0 && errno == EINTR) return;
    if (n > 0 && text->size() < kAnswerBytesMax) {
      text->append(part, static_cast<size_t>(n));
    } else {
      close(fd);
      fd = -1;
    }
  }
};

}  // namespace

SlurmCommands::Said SlurmCommands::run(const char* program,
                                       const std::vector<std::string>& words) const {
  std::vector<std::string> all{options_.folder.empty() ? program : options_.folder + "/" + program};
  all.insert(all.end(), words.begin(), words.end());
  std::vector<char*> argv;
  for (std::string& word : all) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::string conf = "SLURM_CONF=" + options_.conf;
  std::vector<char*> env;
  for (char** entry = environ; *entry; ++entry) {
    if (options_.conf.empty() || std::strncmp(*entry, "SLURM_CONF=", 11) != 0)
      env.push_back(*entry);
  }
  if (!options_.conf.empty()) env.push_back(conf.data());
  env.push_back(nullptr);

  int out[2], errors[2];
  if (pipe2(out, O_CLOEXEC) != 0) throw_error(ErrorCode::kIo, program, "{}", std::strerror(errno));
  if (pipe2(errors, O_CLOEXEC) != 0) {
    close(out[0]), close(out[1]);
    throw_error(ErrorCode::kIo, program, "{}", std::strerror(errno));
  }
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, out[1], 1);
  posix_spawn_file_actions_adddup2(&files, errors[1], 2);
  pid_t pid = 0;
  const int failed = posix_spawnp(&pid, argv[0], &files, nullptr, argv.data(), env.data());
  posix_spawn_file_actions_destroy(&files);
  close(out[1]), close(errors[1]);
  if (failed != 0) {
    close(out[0]), close(errors[0]);
    throw_error(ErrorCode::kNotFound, all[0], "cannot be started: {}; is Slurm installed here?",
                std::strerror(failed));
  }

  Said said;
  Ear ears[] = {{out[0], &said.out}, {errors[0], &said.errors}};
  const int64_t until = millis_now() + options_.patience_ms;
  while (ears[0].fd >= 0 || ears[1].fd >= 0) {
    pollfd wait[] = {{ears[0].fd, POLLIN, 0}, {ears[1].fd, POLLIN, 0}};
    const int64_t left = until - millis_now();
    if (left <= 0 || (poll(wait, 2, static_cast<int>(left)) < 0 && errno != EINTR)) break;
    for (int i = 0; i < 2; ++i) {
      if (wait[i].revents != 0) ears[i].listen();
    }
  }
  const bool late = ears[0].fd >= 0 || ears[1].fd >= 0;
  if (late) kill(pid, SIGKILL);
  for (const Ear& ear : ears) {
    if (ear.fd >= 0) close(ear.fd);
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  said.status = !late && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return said;
}

Submitted SlurmCommands::submit(const SlurmOrder& order) {
  std::vector<std::string> words{"--parsable",
                                 // Forge starts it again, under a new epoch; Slurm never does.
                                 "--no-requeue", "--nodes=1", "--ntasks=1",
                                 "--job-name=" + order.name, "--nodelist=" + order.node,
                                 fmt::format("--cpus-per-task={}", order.cpus),
                                 "--output=" + order.output, "--comment=" + order.comment};
  if (!options_.partition.empty()) words.push_back("--partition=" + options_.partition);
  if (!order.gres.empty()) words.push_back("--gres=" + order.gres);
  if (order.memory_mb > 0) words.push_back(fmt::format("--mem={}M", order.memory_mb));
  words.insert(words.end(), options_.sbatch_flags.begin(), options_.sbatch_flags.end());
  words.push_back(order.script);
  const Said said = run("sbatch", words);
  if (said.status == 0) return {SlurmAnswer::kTaken, {}};
  if (said.status < 0) return {SlurmAnswer::kUnknown, "sbatch did not answer in time"};
  const std::string text = last_line(said.errors);
  return {read_refusal(text), text};
}

std::string SlurmCommands::ask(const char* program) const {
  Said said = run(program, {"--json"});
  if (said.status == 0) return std::move(said.out);
  const std::string text = last_line(said.errors);
  throw_error(ErrorCode::kUnavailable, program, "{}",
              text.empty() ? "the controller did not answer in time" : text);
}

std::vector<SlurmJob> SlurmCommands::jobs() { return read_squeue(ask("squeue")); }
std::vector<SlurmNode> SlurmCommands::nodes() { return read_sinfo(ask("sinfo")); }

void SlurmCommands::cancel(const std::vector<int64_t>& ids) {
  std::vector<std::string> words{"--quiet"};
  for (int64_t id : ids) words.push_back(std::to_string(id));
  run("scancel", words);
}

}  // namespace hearth::forge
