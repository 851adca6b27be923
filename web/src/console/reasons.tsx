// How often what happened, the most frequent first.
import { count } from '../format';
import { Meter } from '../parts';

const words: Record<string, string> = {
  queue_full: 'the queue was full',
  rate_limit: "over the tenant's limit",
  tenant_limit: 'too many requests of a tenant at once',
  deployment_rate: 'over the purchased rate',
  unauthorized: 'no key, or an unknown one',
  forbidden: 'the key may not',
  draining: 'the server was draining',
  stop: 'came to an end',
  length: 'reached their length',
  abort: 'the client went away',
};

export function Reasons({ title, counts, none, tone = '' }: { title: string; counts: Record<string, number>; none: string; tone?: string }) {
  const all = Object.entries(counts).sort(([, a], [, b]) => b - a);
  const most = all[0]?.[1] ?? 1;
  return (
    <section class="card">
      <h2>{title}</h2>
      {all.map(([reason, times]) => (
        <div class="share-of"><span>{words[reason] ?? reason.replace(/_/g, ' ')}<b>{count(times)}</b></span><Meter share={times / most} label={reason} tone={tone} /></div>
      ))}
      {all.length === 0 && <p class="soft quiet-note">{none}</p>}
    </section>
  );
}
