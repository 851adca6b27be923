// One batch: how far it is, what went wrong, and its files.
import { ask, download } from '../api';
import { ago, count, duration } from '../format';
import { Confirm, Pill, Problem } from '../parts';
import { useAction } from '../poll';
import type { Batch } from './batches';
import { Session, isAdmin, ownedBy } from './session';

const over = ['completed', 'failed', 'cancelled', 'expired'];

export function BatchCard({ batch, session, onChange }: { batch: Batch; session: Session; onChange: () => void }) {
  const action = useAction();
  const caller = ownedBy(session, batch.project_id);
  const { total, completed, failed } = batch.request_counts;
  const part = (number: number) => `${total > 0 ? (100 * number) / total : 0}%`;
  const fetchFile = (id: string | null, name: string) => id && (
    <button class="link" onClick={() => action.run(() => download(caller, `v1/files/${id}/content`, `${batch.id}-${name}.jsonl`))}>{name}</button>
  );
  const took = batch.completed_at ? `took ${duration(batch.completed_at - batch.created_at)}` : ago(batch.created_at);
  return (
    <article class="card item" aria-label={batch.id}>
      <span class="item-head"><b>{batch.id}</b><Pill state={batch.status} /></span>
      <span class="gauge two" role="meter" aria-label={`Progress of ${batch.id}`} aria-valuenow={completed + failed} aria-valuemin={0} aria-valuemax={total}>
        <span style={{ width: part(completed) }} /><span class="bad" style={{ width: part(failed) }} />
      </span>
      <span class="soft">
        {isAdmin(session.who) ? `${batch.project_id} · ` : ''}{batch.endpoint} · {count(completed + failed)} of {count(total)} done{failed > 0 ? `, ${count(failed)} failed` : ''} · {count(batch.usage.input_tokens + batch.usage.output_tokens)} tokens · {took}
      </span>
      {batch.errors?.data.slice(0, 5).map((each) => <Problem text={`${each.line ? `line ${each.line}: ` : ''}${each.message}`} />)}
      <span class="row">
        {fetchFile(batch.input_file_id, 'input')}
        {fetchFile(batch.output_file_id, 'output')}
        {fetchFile(batch.error_file_id, 'errors')}
        {!over.includes(batch.status) && batch.status !== 'cancelling' && <Confirm label="Cancel" sure="Cancel the batch" action={action} onConfirm={() => ask(caller, `v1/batches/${batch.id}/cancel`, { method: 'POST' }).then(onChange)} />}
      </span>
      <Problem text={action.error} />
    </article>
  );
}
