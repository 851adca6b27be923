// The shape of a database over the years: numbered steps, each done once, in order.
#pragma once

#include <span>
#include <string>

namespace hearth::io {

class Database;

struct Migration {
  int number = 0;  // 1, 2, 3 ...; never changed once released
  const char* sql = nullptr;
};

// Brings the database to the last step; each is all or nothing, also when two processes begin at
// once. Throws Error naming `where` when the database was made by a later program.
void migrate(Database& database, std::span<const Migration> steps, const std::string& where);

}  // namespace hearth::io
