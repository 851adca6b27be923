#include "serve/tuning/adapter_shelf.h"

#include <filesystem>
#include <set>

#include "base/error.h"
#include "serve/state/state.h"

namespace hearth::serve {
namespace {

namespace fs = std::filesystem;

constexpr const char* kAdapterColumns = "owner, name, folder, source, created_s";

ShelvedAdapter adapter_of(io::Statement& row) {
  return {row.text(0), row.text(1), row.text(2), row.text(3), row.integer(4)};
}

}  // namespace

AdapterShelf::AdapterShelf(State& state, const std::string& data_dir) : state_(state) {
  if (data_dir.empty()) return;
  folder_ = data_dir + "/adapters";
  fs::create_directories(folder_);
  remove_orphans();
}

// Uploads that were not answered when the process ended.
void AdapterShelf::remove_orphans() {
  std::set<std::string> known;
  for (const ShelvedAdapter& adapter : all()) known.insert(adapter.folder);
  for (const auto& entry : fs::directory_iterator(folder_)) {
    std::error_code ignored;
    if (!known.contains(entry.path().string())) fs::remove_all(entry.path(), ignored);
  }
}

std::string AdapterShelf::make_folder(const std::string& id) {
  if (folder_.empty()) {
    throw_error(ErrorCode::kUnsupported, "",
                "this server has no place for adapters; start it with --data-dir");
  }
  const std::string path = folder_ + "/" + id;
  fs::create_directories(path);
  return path;
}

void AdapterShelf::add(const ShelvedAdapter& adapter) {
  state_.write([&](io::Database& database) { insert(database, adapter); });
}

void AdapterShelf::insert(io::Database& database, const ShelvedAdapter& adapter) {
  database
      .prepare(
          "INSERT INTO adapters (owner, name, folder, source, created_s) VALUES (?, ?, ?, ?, ?) "
          "ON CONFLICT (owner, name) DO UPDATE SET folder = excluded.folder, "
          "source = excluded.source, created_s = excluded.created_s WHERE source = ?")
      .bind(adapter.owner)
      .bind(adapter.name)
      .bind(adapter.folder)
      .bind(adapter.source)
      .bind(adapter.created_s)
      .bind(kFolderSource)
      .run();
  if (database.changes() == 1) return;
  throw_error(ErrorCode::kInvalidArgument, "lora_name",
              "an adapter '{}' is kept here already, in {}; DELETE /v1/adapters/{} lets it go",
              adapter.name, "--data-dir", adapter.name);
}

std::vector<ShelvedAdapter> AdapterShelf::all() {
  return state_.read([&](io::Database& database) {
    auto rows =
        database.prepare(fmt::format("SELECT {} FROM adapters ORDER BY number", kAdapterColumns));
    std::vector<ShelvedAdapter> out;
    while (rows.step()) out.push_back(adapter_of(rows));
    return out;
  });
}

std::optional<ShelvedAdapter> AdapterShelf::find(const std::string& owner,
                                                 const std::string& name) {
  return state_.read([&](io::Database& database) -> std::optional<ShelvedAdapter> {
    auto row = database.prepare(
        fmt::format("SELECT {} FROM adapters WHERE owner = ? AND name = ?", kAdapterColumns));
    row.bind(owner).bind(name);
    if (!row.step()) return std::nullopt;
    return adapter_of(row);
  });
}

void AdapterShelf::erase(const ShelvedAdapter& adapter) {
  state_.write([&](io::Database& database) {
    database.prepare("DELETE FROM adapters WHERE owner = ? AND name = ?")
        .bind(adapter.owner)
        .bind(adapter.name)
        .run();
  });
  std::error_code ignored;
  if (adapter.has_own_files()) fs::remove_all(adapter.folder, ignored);
}

}  // namespace hearth::serve
