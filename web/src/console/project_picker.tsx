// For whom an admin looks and acts.
import { ask } from '../api';
import { usePoll } from '../poll';
import { Session } from './session';

interface Named {
  name: string;
}

export function ProjectPicker({ session, onProject }: { session: Session; onProject: (name: string) => void }) {
  const { key } = session.caller;
  const { data } = usePoll((signal) => ask<{ data: Named[] }>({ key }, 'v1/organization/projects?limit=100', { signal }), 15_000, [key]);
  if (!data || data.data.length === 0) return null;
  return (
    <label class="field">View
      <select value={session.project} onChange={(event) => onProject(event.currentTarget.value)}>
        <option value="">All tenants</option>
        {data.data.map(({ name }) => <option value={name}>{name}</option>)}
      </select>
    </label>
  );
}
