// The keys of one tenant or of the admins, and a new one, whose secret is shown once.
import { useState } from 'preact/hooks';

import { ask } from '../api';
import { ago, day } from '../format';
import { Confirm, Problem } from '../parts';
import { usePoll } from '../poll';
import { NewKey } from './new_key';
import { Secret } from './secret';
import { Session } from './session';

export interface ApiKey {
  id: string;
  name: string;
  redacted_value: string;
  created_at: number;
  last_used_at: number | null;
  expires_at: number | null;
  scopes: string[];
}

export type KeyKind = 'admin' | 'tenant';

export function KeyTable({ session, path, kind }: { session: Session; path: string; kind: KeyKind }) {
  const caller = { key: session.caller.key };
  const { data, error, refresh } = usePoll((signal) => ask<{ data: ApiKey[] }>(caller, `${path}?limit=100`, { signal }), 5000, [path, caller.key]);
  const [making, setMaking] = useState(false);
  const [secret, setSecret] = useState('');
  const made = (value: string) => { setMaking(false); setSecret(value); refresh(); };
  const keys = data?.data ?? [];
  // On a server that is open the next request would be refused once the first key is there.
  const mine = kind === 'admin' && session.who.api_key_id === 'open';
  return (
    <div class="keys-of">
      <Problem text={error} />
      {secret && <Secret value={secret} onUse={mine ? () => session.onKey(secret) : undefined} onClose={() => setSecret('')} />}
      {keys.length > 0 && (
        <table>
          <thead><tr><th>Name</th><th>Key</th><th>May</th><th>Used</th><th>Expires</th><th /></tr></thead>
          <tbody>
            {keys.map((each) => (
              <tr key={each.id}>
                <td class="name">{each.name || <span class="soft">without a name</span>}</td>
                <td><code>{each.redacted_value}</code></td>
                <td>{each.scopes.length > 0 ? each.scopes.join(', ') : 'everything'}</td>
                <td>{each.last_used_at ? ago(each.last_used_at) : 'never'}</td>
                <td>{each.expires_at ? day(each.expires_at) : 'never'}</td>
                <td class="acts"><Confirm label="Revoke" sure="Revoke for good" onConfirm={() => ask(caller, `${path}/${each.id}`, { method: 'DELETE' }).then(refresh)} /></td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {data && keys.length === 0 && !making && !secret && <p class="soft">{kind === 'admin' ? 'No keys of admins yet.' : session.who.open ? 'No keys yet.' : 'No keys: nobody can ask in its name.'}</p>}
      {making ? <NewKey caller={caller} path={path} kind={kind} onDone={made} onCancel={() => setMaking(false)} /> : <button class="button" onClick={() => setMaking(true)}>New key</button>}
    </div>
  );
}
