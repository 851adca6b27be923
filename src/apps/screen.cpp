#include "apps/screen.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/error.h"

namespace hearth::apps {
namespace {

constexpr int kPauseMs = 1'000;
constexpr int kAllRows = 1'000;
constexpr char kCtrlC = 3;

volatile std::sig_atomic_t asked_to_end = 0;

void put(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

// The terminal's other page without a cursor, and keys as they are pressed; as it was in the end.
class Takeover {
 public:
  Takeover() {
    std::signal(SIGTERM, [](int) { asked_to_end = 1; });
    saved_ = has_keys_ = tcgetattr(STDIN_FILENO, &before_) == 0;
    if (saved_) {
      termios raw = before_;
      raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG);
      raw.c_cc[VMIN] = 0;
      raw.c_cc[VTIME] = 0;
      tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    put("\033[?1049h\033[?25l");
  }
  ~Takeover() {
    put("\033[?25h\033[?1049l");
    if (saved_) tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  Takeover(const Takeover&) = delete;
  Takeover& operator=(const Takeover&) = delete;

  // For a second, or until a key. False: it is time to leave.
  bool wait() {
    pollfd keys{has_keys_ ? STDIN_FILENO : -1, POLLIN, 0};
    const int ready = poll(&keys, 1, kPauseMs);
    if (asked_to_end != 0) return false;
    if (ready <= 0) return true;  // the time is over, or the window has changed
    char key = 0;
    if (read(STDIN_FILENO, &key, 1) != 1) has_keys_ = false;  // nobody types there any more
    return key != 'q' && key != 'Q' && key != kCtrlC;
  }

 private:
  termios before_{};
  bool saved_ = false;
  bool has_keys_ = false;
};

// Each line over what stood there, so that nothing flickers.
std::string frame_of(const std::string& text) {
  std::string out = "\033[H";
  for (const char c : text) {
    if (c == '\n') out += "\033[K";
    out += c;
  }
  return out + "\033[J";
}

}  // namespace

ScreenSize screen_size() {
  winsize size{};
  const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? ScreenSize{size.ws_col, std::max<int>(size.ws_row, 1)} : ScreenSize{};
}

void show_screen(Watch watch, const std::function<std::string(ScreenSize)>& draw) {
  if (watch == Watch::kOnce || isatty(STDOUT_FILENO) == 0) {
    return put(draw({screen_size().columns, kAllRows}));
  }
  std::string text = draw(screen_size());
  Takeover terminal;
  for (;;) {
    put(frame_of(text));
    if (!terminal.wait()) return;
    try {
      text = draw(screen_size());
    } catch (const Error& error) {
      text = std::string(error.what()) + "\n\nwaiting for it to come back; q leaves\n";
    }
  }
}

}  // namespace hearth::apps
