#include "apps/local_ranks.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apps/exit_codes.h"
#include "base/error.h"
#include "train/socket_wire.h"

namespace hearth::apps {
namespace {

// Ranks that lost one of them find out at their next exchange, and have so long to do so.
constexpr time_t kGraceSeconds = 10;

sigset_t watched_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGCHLD, SIGINT, SIGTERM}) sigaddset(&set, signal);
  return set;
}

// While it lives, the signals it watches wait for take().
class SignalGate {
 public:
  SignalGate() : set_(watched_signals()) { sigprocmask(SIG_BLOCK, &set_, &before_); }
  ~SignalGate() { open(); }
  SignalGate(const SignalGate&) = delete;
  SignalGate& operator=(const SignalGate&) = delete;

  void open() { sigprocmask(SIG_SETMASK, &before_, nullptr); }
  // The next signal; 0 when none came in time.
  int take(time_t seconds) const {
    const timespec wait{seconds, 0};
    const int signal = sigtimedwait(&set_, nullptr, &wait);
    return signal < 0 ? 0 : signal;
  }

 private:
  sigset_t set_, before_;
};

class Crew {
 public:
  Crew(int ranks, const std::function<int(const LocalRank&)>& body, SignalGate& gate);

  struct Outcome {
    int code = 0;          // 0: none failed
    bool stopped = false;  // on a signal, with a checkpoint
    enum class Again : bool { kNo, kMayHelp } again = Again::kNo;
  };
  // Until all have ended.
  Outcome watch();

 private:
  void collect_dead();
  void note(size_t rank, int status);
  void send(int signal) const;
  bool anyone() const {
    return std::any_of(pids_.begin(), pids_.end(), [](pid_t pid) { return pid != 0; });
  }

  SignalGate& gate_;
  std::vector<pid_t> pids_;  // 0: has ended
  Outcome outcome_;
};

Crew::Crew(int ranks, const std::function<int(const LocalRank&)>& body, SignalGate& gate)
    : gate_(gate), pids_(static_cast<size_t>(ranks), 0) {
  const std::vector<std::vector<int>> mesh = train::make_socket_mesh(ranks);
  const pid_t parent = ::getpid();
  for (size_t rank = 0; rank < pids_.size(); ++rank) {
    const pid_t pid = ::fork();
    if (pid < 0) {
      const std::string reason = std::strerror(errno);
      send(SIGKILL);
      throw_error(ErrorCode::kIo, "--ranks", "rank {} could not be started: {}", rank, reason);
    }
    if (pid == 0) {
      // A group of its own, so that the terminal's Ctrl-C reaches it through the parent only; and
      // it does not outlive the parent.
      ::setpgid(0, 0);
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) std::_Exit(1);
      gate_.open();
      for (size_t other = 0; other < mesh.size(); ++other) {
        for (const int socket : mesh[other]) {
          if (other != rank && socket >= 0) ::close(socket);
        }
      }
      const int code = body({static_cast<int>(rank), ranks, mesh[rank]});
      std::fflush(nullptr);
      std::_Exit(code);
    }
    pids_[rank] = pid;
  }
  for (const std::vector<int>& row : mesh) {
    for (const int socket : row) {
      if (socket >= 0) ::close(socket);
    }
  }
}

void Crew::send(int signal) const {
  for (const pid_t pid : pids_) {
    if (pid != 0) ::kill(pid, signal);
  }
}

void Crew::note(size_t rank, int status) {
  if (WIFEXITED(status)) {
    const int code = WEXITSTATUS(status);
    if (code == kExitStopped) {
      outcome_.stopped = true;
    } else {
      outcome_.code = std::max(outcome_.code, code);
    }
    if (code == kExitRankLost) outcome_.again = Outcome::Again::kMayHelp;
  } else if (WIFSIGNALED(status)) {
    std::fprintf(stderr, "rank %zu (pid %d) was killed by signal %d (%s)\n", rank,
                 static_cast<int>(pids_[rank]), WTERMSIG(status), strsignal(WTERMSIG(status)));
    outcome_.code = std::max(outcome_.code, 1);
    outcome_.again = Outcome::Again::kMayHelp;
  }
  pids_[rank] = 0;
}

void Crew::collect_dead() {
  for (size_t rank = 0; rank < pids_.size(); ++rank) {
    int status = 0;
    if (pids_[rank] != 0 && ::waitpid(pids_[rank], &status, WNOHANG) == pids_[rank]) {
      note(rank, status);
    }
  }
}

Crew::Outcome Crew::watch() {
  time_t deadline = 0;  // for the others, once one of them failed
  bool asked_to_stop = false;
  while (anyone()) {
    const int signal = gate_.take(1);
    if (signal == SIGINT || signal == SIGTERM) {
      asked_to_stop = true;
      send(SIGTERM);
    }
    collect_dead();
    if (outcome_.code == 0) continue;
    const time_t now = std::time(nullptr);
    if (deadline == 0) deadline = now + kGraceSeconds;
    if (now < deadline) continue;
    for (size_t rank = 0; rank < pids_.size(); ++rank) {
      if (pids_[rank] == 0) continue;
      ::kill(pids_[rank], SIGKILL);
      ::waitpid(pids_[rank], nullptr, 0);
      std::fprintf(stderr, "rank %zu (pid %d) did not end by itself and was killed\n", rank,
                   static_cast<int>(pids_[rank]));
      pids_[rank] = 0;
    }
  }
  if (asked_to_stop) outcome_.again = Outcome::Again::kNo;
  return outcome_;
}

}  // namespace

int run_local_ranks(const LocalRanksOptions& options,
                    const std::function<int(const LocalRank&)>& body) {
  SignalGate gate;
  for (int attempt = 0;; ++attempt) {
    const Crew::Outcome outcome = Crew(options.ranks, body, gate).watch();
    const bool helps = outcome.again == Crew::Outcome::Again::kMayHelp;
    if (helps && attempt == options.restarts) {
      std::fprintf(stderr, "the run ended; the same command goes on from its last checkpoint\n");
    }
    if (outcome.code == 0) return outcome.stopped ? kExitStopped : 0;
    if (!helps || attempt == options.restarts) return outcome.code;
    std::fprintf(stderr, "start %d of %d, from the last checkpoint\n", attempt + 2,
                 options.restarts + 1);
  }
}

}  // namespace hearth::apps
