// A view of the terminal that is drawn again each second until somebody presses q.
#pragma once

#include <functional>
#include <string>

namespace hearth::apps {

struct ScreenSize {
  int columns = 80;
  int rows = 24;
};

ScreenSize screen_size();

enum class Watch {
  kOnce,   // drawn as plain text, all of it
  kFollow  // drawn until q, Ctrl-C or SIGTERM; once where standard output is no terminal
};

// `draw` gets the room that there is and gives lines. What it throws the first time is thrown on;
// later it is shown in its place, as the server may come back.
void show_screen(Watch watch, const std::function<std::string(ScreenSize)>& draw);

}  // namespace hearth::apps
