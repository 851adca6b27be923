// One adapter of the list, and what its owner may do with it.
import { ask } from '../api';
import { bytes, moment } from '../format';
import { Confirm } from '../parts';
import { hrefOf } from '../route';
import type { Adapter } from './adapters';
import { Session, isAdmin, ownedBy } from './session';

export function AdapterRow({ one, session, onChange }: { one: Adapter; session: Session; onChange: () => void }) {
  const caller = ownedBy(session, one.owner);
  const { who } = session;
  const mine = one.owner === null ? who.open : one.owner === who.project || isAdmin(who);
  const chattable = one.owner === null || one.owner === who.project;
  // What was uploaded or tuned is deleted; what lies in a folder is only not served any more.
  const kept = one.source !== 'folder';
  const leave = () => (kept
    ? ask(caller, `v1/adapters/${encodeURIComponent(one.id)}`, { method: 'DELETE' })
    : ask(caller, 'v1/unload_lora_adapter', { method: 'POST', body: { lora_name: one.id } })
  ).then(onChange);
  return (
    <tr>
      <td class="name" title={`since ${moment(one.created_at)}`}>{one.id}</td>
      <td>{one.owner ?? <span class="soft">everybody</span>}</td>
      <td>{one.parent}</td>
      <td class="n">{one.rank}</td>
      <td class="n">{bytes(one.bytes)}</td>
      <td>{one.source.startsWith('ftjob') ? <a href={hrefOf('jobs', one.source)}>a job</a> : one.source}</td>
      <td class="acts">
        {chattable && <button class="button plain" onClick={() => session.onChat(one.id)}>Chat</button>}
        {mine && <Confirm label={kept ? 'Delete' : 'Unload'} sure={kept ? 'Delete for good' : 'Unload'} onConfirm={leave} />}
      </td>
    </tr>
  );
}
