#include "serve/tenants/audit_log.h"

#include "serve/state/paging.h"
#include "serve/state/state.h"

namespace hearth::serve {

void AuditLog::add(const AuditEntry& entry) {
  state_.write([&](io::Database& database) {
    database
        .prepare(
            "INSERT INTO audit (id, at_s, type, actor, project, object, details) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)")
        .bind(entry.id)
        .bind(entry.at_s)
        .bind(entry.type)
        .bind(entry.actor)
        .bind(entry.project)
        .bind(entry.object)
        .bind(entry.details)
        .run();
  });
}

Listed<AuditEntry> AuditLog::list(const AuditQuery& query) {
  return state_.read([&](io::Database& database) {
    PagedQuery paged(database, "audit", "id, at_s, type, actor, project, object, details",
                     query.page);
    paged.where_in("type", query.types);
    paged.where_in("project", query.projects);
    paged.where_in("actor", query.actors);
    paged.where_in("object", query.objects);
    return paged.collect<AuditEntry>([](io::Statement& row) {
      return AuditEntry{row.text(0), row.integer(1), row.text(2), row.text(3),
                        row.text(4), row.text(5),    row.text(6)};
    });
  });
}

}  // namespace hearth::serve
