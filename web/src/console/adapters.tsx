// Customised models: whose they are, and where their bytes are right now.
import { useState } from 'preact/hooks';

import { ask } from '../api';
import { bytes, count } from '../format';
import { Empty, PageHead, Problem } from '../parts';
import { usePoll } from '../poll';
import { AdapterRow } from './adapter_row';
import { AddAdapter } from './add_adapter';
import type { PageProps } from './console';
import { ofProject } from './session';

export interface Adapter {
  id: string;
  owner: string | null; // null: everybody's
  source: string; // upload, folder, or the job that made it
  created_at: number;
  parent: string;
  tier: Tier;
  rank: number;
  parameters: number;
  bytes: number;
}

type Tier = 'memory' | 'mapped' | 'stored';

const tiers: { tier: Tier; name: string; about: string }[] = [
  { tier: 'memory', name: 'In memory', about: 'answers at once' },
  { tier: 'mapped', name: 'Mapped', about: 'a copy away: milliseconds' },
  { tier: 'stored', name: 'Stored', about: 'read at its first request' },
];

const shownAtOnce = 100;

export function Adapters({ session }: PageProps) {
  const { data, error, refresh } = usePoll((signal) => ask<{ data: Adapter[] }>(session.caller, `v1/adapters?${ofProject(session)}`, { signal }), 2000, [session.caller.key, session.project]);
  const [adding, setAdding] = useState(false);
  const [find, setFind] = useState('');
  if (!data) return <Problem text={error} />;
  const all = data.data.filter((each) => `${each.id} ${each.owner ?? ''}`.includes(find));
  const added = () => { setAdding(false); refresh(); };
  return (
    <>
      <PageHead title="Adapters" about="Fine-tuned models on top of the base. Any mix of them is computed in one batch.">
        {data.data.length > 8 && <input class="search" type="search" placeholder="Find" aria-label="Find an adapter" value={find} onInput={(event) => setFind(event.currentTarget.value)} />}
        {!adding && <button class="button main" onClick={() => setAdding(true)}>Add adapter</button>}
      </PageHead>
      <Problem text={error} />
      {adding && <AddAdapter session={session} onDone={added} onCancel={() => setAdding(false)} />}
      {data.data.length > 0 && (
        <div class="tiers">
          {tiers.map(({ tier, name, about }) => {
            const these = data.data.filter((each) => each.tier === tier);
            const size = these.reduce((sum, each) => sum + each.bytes, 0);
            return <div class={`figure tier ${tier}`}><span class="value">{count(these.length)}{size > 0 && <small>{bytes(size)}</small>}</span><span class="label"><b>{name}</b> · {about}</span></div>;
          })}
        </div>
      )}
      {tiers.map(({ tier, name }) => {
        const these = all.filter((each) => each.tier === tier);
        if (these.length === 0) return null;
        return (
          <section class="table-of">
            <h2>{name}<small>{these.length}</small></h2>
            <table>
              <thead><tr><th>Name</th><th>Owner</th><th>Base</th><th class="n">Rank</th><th class="n">Size</th><th>From</th><th /></tr></thead>
              <tbody>{these.slice(0, shownAtOnce).map((each) => <AdapterRow key={`${each.owner} ${each.id}`} one={each} session={session} onChange={refresh} />)}</tbody>
            </table>
            {these.length > shownAtOnce && <p class="soft">and {these.length - shownAtOnce} more; find one by its name above</p>}
          </section>
        );
      })}
      {data.data.length === 0 && !adding && (
        <Empty title="No adapters yet" command="hearth serve MODEL --lora sql=path/to/adapter">
          <p>An adapter is a fine-tuned model of a few megabytes. Thousands share one base, and each answers as its own model.</p>
          <p>Train one on the <a href="#/jobs">Jobs</a> page, upload one in PEFT's format with the button above, or start the server with some:</p>
        </Empty>
      )}
    </>
  );
}
