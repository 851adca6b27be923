// Who changed what, the newest first.
import { ask } from '../api';
import { moment } from '../format';
import { Problem } from '../parts';
import { usePoll } from '../poll';
import { Session } from './session';

interface Entry {
  id: string;
  type: string;
  effective_at: number;
  actor: { api_key: { id: string } };
  project: { name: string } | null;
  [details: string]: unknown;
}

// Under the name of its type each entry tells what it was about.
const objectOf = (entry: Entry) => (entry[entry.type] as { id: string } | undefined)?.id ?? '';

export function AuditLog({ session }: { session: Session }) {
  const who = session.project ? `&project_ids[]=${encodeURIComponent(session.project)}` : '';
  const { data, error } = usePoll((signal) => ask<{ data: Entry[] }>({ key: session.caller.key }, `v1/organization/audit_logs?limit=50${who}`, { signal }), 5000, [session.caller.key, who]);
  return (
    <section class="table-of">
      <h2>Audit log</h2>
      <Problem text={error} />
      {data && data.data.length === 0 && <p class="soft">Nothing yet: tenants, keys and limits that are changed are written down here.</p>}
      {data && data.data.length > 0 && (
        <table>
          <thead><tr><th>When</th><th>What</th><th>About</th><th>Tenant</th><th>By</th></tr></thead>
          <tbody>
            {data.data.map((entry) => (
              <tr key={entry.id}>
                <td>{moment(entry.effective_at)}</td><td class="name">{entry.type}</td><td><code>{objectOf(entry)}</code></td><td>{entry.project?.name ?? '–'}</td><td><code>{entry.actor.api_key.id}</code></td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}
