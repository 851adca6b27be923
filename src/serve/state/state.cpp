#include "serve/state/state.h"

#include "serve/state/schema.h"

namespace hearth::serve {

State::State(const std::string& data_dir)
    : database_(data_dir.empty() ? ":memory:" : data_dir + "/hearth.db") {
  io::migrate(database_, schema_steps(), data_dir + "/hearth.db");
}

int64_t State::foreign_version() {
  return read([](io::Database& database) {
    auto row = database.prepare("PRAGMA data_version");
    return row.step() ? row.integer(0) : 0;
  });
}

}  // namespace hearth::serve
