#include "serve/tenants/tenant_store.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "serve/state/paging.h"
#include "serve/state/state.h"
#include "serve/text_lists.h"

namespace hearth::serve {
namespace {

constexpr size_t kTenantNameBytesMax = 64;

constexpr const char* kProjectColumns =
    "number, id, name, created_s, archived_s, requests_per_minute, tokens_per_minute, "
    "tokens_per_day, requests_at_once";
constexpr const char* kKeyColumns =
    "number, id, project, name, role, scopes, prefix, tail, salt, hash, created_s, expires_s, "
    "last_used_s";

Project project_of_row(io::Statement& row) {
  return {row.integer(0), row.text(1),
          row.text(2),    row.integer(3),
          row.integer(4), {row.integer(5), row.integer(6), row.integer(7), row.integer(8)}};
}

StoredKey key_of_row(io::Statement& row) {
  return {row.integer(0),
          row.text(1),
          row.text(2),
          row.text(3),
          row.text(4) == "admin" ? Role::kAdmin : Role::kTenant,
          split_list(row.text(5)),
          row.text(6),
          row.text(7),
          from_hex(row.text(8)),
          from_hex(row.text(9)),
          row.integer(10),
          row.integer(11),
          row.integer(12)};
}

}  // namespace

const char* to_string(Role role) { return role == Role::kAdmin ? "admin" : "tenant"; }

bool is_tenant_name(const std::string& name) {
  return !name.empty() && name.size() <= kTenantNameBytesMax &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return std::isalnum(c) || c == '-' || c == '_' || c == '.';
         });
}

void TenantStore::add(const Project& project) {
  if (!is_tenant_name(project.name)) {
    throw_error(ErrorCode::kInvalidArgument, "name",
                "'name': expected 1 to {} letters, digits or any of - _ .", kTenantNameBytesMax);
  }
  state_.write([&](io::Database& database) {
    database
        .prepare(
            "INSERT INTO projects (id, name, created_s, requests_per_minute, tokens_per_minute, "
            "tokens_per_day, requests_at_once) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")
        .bind(project.id)
        .bind(project.name)
        .bind(project.created_s)
        .bind(project.limits.requests_per_minute)
        .bind(project.limits.tokens_per_minute)
        .bind(project.limits.tokens_per_day)
        .bind(project.limits.requests_at_once)
        .run();
    if (database.changes() == 0) {
      throw_error(ErrorCode::kInvalidArgument, "name", "there is a project '{}' already",
                  project.name);
    }
  });
}

std::optional<Project> TenantStore::find(const std::string& id_or_name) {
  return state_.read([&](io::Database& database) -> std::optional<Project> {
    auto row = database.prepare(
        fmt::format("SELECT {} FROM projects WHERE id = ? OR name = ?", kProjectColumns));
    row.bind(id_or_name).bind(id_or_name);
    if (!row.step()) return std::nullopt;
    return project_of_row(row);
  });
}

Listed<Project> TenantStore::list(const Page& page, Archived archived) {
  return state_.read([&](io::Database& database) {
    PagedQuery query(database, "projects", kProjectColumns, page);
    if (archived == Archived::kLeaveOut) query.where("archived_s = 0");
    return query.collect<Project>(project_of_row);
  });
}

std::vector<Project> TenantStore::all() {
  return list({{}, PagedQuery::kAll, true}, Archived::kInclude).entries;
}

void TenantStore::set_limits(const std::string& name, const TenantLimits& limits) {
  state_.write([&](io::Database& database) {
    database
        .prepare(
            "UPDATE projects SET requests_per_minute = ?, tokens_per_minute = ?, "
            "tokens_per_day = ?, requests_at_once = ? WHERE name = ?")
        .bind(limits.requests_per_minute)
        .bind(limits.tokens_per_minute)
        .bind(limits.tokens_per_day)
        .bind(limits.requests_at_once)
        .bind(name)
        .run();
  });
}

void TenantStore::archive(const std::string& name, int64_t now_s) {
  state_.write([&](io::Database& database) {
    database.prepare("UPDATE projects SET archived_s = ? WHERE name = ?")
        .bind(now_s)
        .bind(name)
        .run();
  });
}

void TenantStore::add_key(const StoredKey& key) {
  state_.write([&](io::Database& database) {
    database
        .prepare(
            "INSERT INTO api_keys (id, project, name, role, scopes, prefix, tail, salt, hash, "
            "created_s, expires_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(key.id)
        .bind(key.project)
        .bind(key.name)
        .bind(to_string(key.role))
        .bind(join_list(key.scopes))
        .bind(key.prefix)
        .bind(key.tail)
        .bind(to_hex(key.salt))
        .bind(to_hex(key.hash))
        .bind(key.created_s)
        .bind(key.expires_s)
        .run();
  });
}

std::optional<StoredKey> TenantStore::find_key(const std::string& id) {
  return state_.read([&](io::Database& database) -> std::optional<StoredKey> {
    auto row = database.prepare(fmt::format("SELECT {} FROM api_keys WHERE id = ?", kKeyColumns));
    row.bind(id);
    if (!row.step()) return std::nullopt;
    return key_of_row(row);
  });
}

Listed<StoredKey> TenantStore::list_keys(const std::string& project, const Page& page) {
  return state_.read([&](io::Database& database) {
    PagedQuery query(database, "api_keys", kKeyColumns, page);
    query.where_equal("project", project);
    return query.collect<StoredKey>(key_of_row);
  });
}

std::vector<StoredKey> TenantStore::all_keys() {
  return state_.read([&](io::Database& database) {
    PagedQuery query(database, "api_keys", kKeyColumns, {{}, PagedQuery::kAll, true});
    return query.collect<StoredKey>(key_of_row).entries;
  });
}

bool TenantStore::remove_key(const std::string& id) {
  return state_.write([&](io::Database& database) {
    database.prepare("DELETE FROM api_keys WHERE id = ?").bind(id).run();
    return database.changes() > 0;
  });
}

void TenantStore::note_use(const std::string& key_id, int64_t now_s) {
  state_.write([&](io::Database& database) {
    database.prepare("UPDATE api_keys SET last_used_s = max(last_used_s, ?) WHERE id = ?")
        .bind(now_s)
        .bind(key_id)
        .run();
  });
}

}  // namespace hearth::serve
