#include "forge/client/tables.h"

#include <gmock/gmock.h>
#include <sstream>

#include "io/json.h"

namespace hearth::forge {
namespace {

using testing::HasSubstr;

io::Json job(int id, const char* name, const char* state, const char* reason, const char* where) {
  return {{"id", id},           {"name", name},      {"virtual_cluster", "a very long team"},
          {"tier", "standard"}, {"state", state},    {"reason", reason},
          {"workers", 2},       {"max_workers", 16}, {"where", where},
          {"changed_at", 0}};
}

int widest(const std::string& text) {
  int most = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    int columns = 0;
    for (char c : line) columns += (c & 0xc0) != 0x80;
    most = std::max(most, columns);
  }
  return most;
}

TEST(ForgeTables, JobsFitTheTerminalWhateverTheirNames) {
  const io::Json jobs = {{"now", 95'000},
                         {"jobs",
                          {job(1234567, "größer als alles, was jemand schreibt", "running",
                               "best fit", "node-17 and 12 more"),
                           job(2, "x", "queued", "no room", "")}}};
  for (int columns : {70, 80, 132}) {
    const std::string table = jobs_table(jobs, columns);
    EXPECT_LE(widest(table), columns + 1) << table;
    EXPECT_THAT(table, HasSubstr("no room"));
  }
}

TEST(ForgeTables, TopShowsTheFleetAndKeepsToTheScreen) {
  io::Json nodes = io::Json::array();
  for (int n = 0; n < 40; ++n) {
    nodes.push_back({{"name", "n" + std::to_string(n)},
                     {"cluster", "main"},
                     {"state", "up"},
                     {"busy", n == 7 ? 1.5 : 0.0},
                     {"devices", io::Json::array({1, 2})}});
  }
  const io::Json state = {
      {"now", 0},
      {"policy", "hearth"},
      {"totals", {{"devices", 80}, {"busy", 1.5}, {"running", 1}, {"waiting", 0}}},
      {"virtual_clusters", {{{"name", "default"}, {"guarantee", 0}, {"used", 1.5}}}},
      {"nodes", nodes}};
  const std::string screen = top_screen(state, {{"now", 0}, {"jobs", io::Json::array()}}, 80, 24);
  EXPECT_LE(std::count(screen.begin(), screen.end(), '\n'), 24);
  EXPECT_LE(widest(screen), 80);
  EXPECT_THAT(screen, HasSubstr("80 devices, 1.5 busy (2 %)"));
  EXPECT_THAT(screen, HasSubstr("n7 "));
  EXPECT_THAT(screen, HasSubstr("nodes more"));
}

}  // namespace
}  // namespace hearth::forge
