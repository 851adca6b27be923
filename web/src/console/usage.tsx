// What was used, by whom and of what, day by day.
import { useState } from 'preact/hooks';

import { ask, download } from '../api';
import { count, ptu } from '../format';
import { Empty, Figure, PageHead, Problem } from '../parts';
import { useAction, usePoll } from '../poll';
import { hue } from '../theme';
import type { PageProps } from './console';
import { isAdmin } from './session';
import { UsageBars } from './usage_bars';
import { Group, Page, groupsOf } from './usage_groups';
import { UsageTable } from './usage_table';

const spans = [7, 30, 90];
const groups: { name: string; group: Group; admin?: boolean }[] = [
  { name: 'Tenant', group: 'project_id', admin: true },
  { name: 'Model', group: 'model' },
  { name: 'Adapter', group: 'adapter' },
  { name: 'Key', group: 'api_key_id' },
  { name: 'Batch or online', group: 'batch' },
];

// Midnight UTC, from which the books count days.
const firstDay = (days: number) => Math.floor(Date.now() / 86_400_000 - days + 1) * 86_400;

export function UsagePage({ session }: PageProps) {
  const admin = isAdmin(session.who);
  const [days, setDays] = useState(30);
  const [group, setGroup] = useState<Group>(admin ? 'project_id' : 'model');
  const who = admin && session.project ? `&project_ids[]=${encodeURIComponent(session.project)}` : '';
  const query = `start_time=${firstDay(days)}&bucket_width=1d${who}`;
  const usage = usePoll((signal) => ask<Page>(session.caller, `v1/organization/usage/completions?${query}&limit=${days}&group_by[]=${group}`, { signal }), 10_000, [session.caller.key, days, group, who]);
  const saving = useAction();
  if (!usage.data) return <Problem text={usage.error} />;
  const all = groupsOf(usage.data, group);
  const sum = (key: 'requests' | 'prompt' | 'cached' | 'generated' | 'work') => all.reduce((total, each) => total + each[key], 0);
  const color = new Map(all.map(({ name }, index) => [name, hue(index)]));
  const save = () => saving.run(() => download(session.caller, `v1/organization/usage/completions?${query}&format=csv&group_by[]=project_id&group_by[]=model&group_by[]=adapter&group_by[]=batch`, 'usage.csv'));
  return (
    <>
      <PageHead title="Usage" about="Tokens, and the work that they were, as they were counted: a column a day (UTC).">
        <div class="tabs" role="tablist" aria-label="Days">{spans.map((each) => <button role="tab" aria-selected={each === days} onClick={() => setDays(each)}>{each} days</button>)}</div>
        <button class="button" disabled={saving.busy} onClick={save}>Export CSV</button>
      </PageHead>
      <Problem text={usage.error || saving.error} />
      <div class="figures">
        <Figure label="requests" value={count(sum('requests'))} />
        <Figure label="prompt tokens" value={count(sum('prompt'))} />
        <Figure label="of them found computed" value={count(sum('cached'))} />
        <Figure label="generated tokens" value={count(sum('generated'))} />
        <Figure label="PTU-minutes of work" value={ptu(sum('work'))} />
      </div>
      <div class="tabs by" role="tablist" aria-label="By">
        {groups.filter((each) => admin || !each.admin).map((each) => <button role="tab" aria-selected={each.group === group} onClick={() => setGroup(each.group)}>{each.name}</button>)}
      </div>
      {all.length > 0
        ? (
          <>
            <section class="card"><UsageBars page={usage.data} group={group} color={color} /></section>
            <UsageTable all={all} color={color} />
          </>
        )
        : (
          <Empty title="Nothing was used yet" command={`curl ${location.origin}/v1/chat/completions -d '{"messages": [{"role": "user", "content": "Hello"}]}'`}>
            <p>Every request is written down before it is answered: by tenant, key, model and adapter. Send one, and it is here:</p>
          </Empty>
        )}
    </>
  );
}
