// One tenant: its limits to change, and its keys.
import { useState } from 'preact/hooks';

import { ask } from '../api';
import { count, day } from '../format';
import { Confirm, Form, Pill } from '../parts';
import { useAction, usePoll } from '../poll';
import { KeyTable } from './key_table';
import type { Tenant } from './keys';
import { LimitFields, Limits } from './limit_fields';
import { Session } from './session';

function wordsOf(limits: Limits): string {
  const parts = [
    limits.max_requests_per_1_minute && `${count(limits.max_requests_per_1_minute)} requests a minute`,
    limits.max_tokens_per_1_minute && `${count(limits.max_tokens_per_1_minute)} tokens a minute`,
    limits.max_tokens_per_1_day && `${count(limits.max_tokens_per_1_day)} tokens a day`,
    limits.max_requests_at_once && `${count(limits.max_requests_at_once)} at once`,
  ].filter(Boolean);
  return parts.length > 0 ? parts.join(', ') : 'no limits';
}

export function TenantCard({ tenant, session, onChange }: { tenant: Tenant; session: Session; onChange: () => void }) {
  const caller = { key: session.caller.key };
  const path = `v1/organization/projects/${tenant.id}`;
  const limits = usePoll((signal) => ask<{ data: Limits[] }>(caller, `${path}/rate_limits`, { signal }), 15_000, [tenant.id]);
  const [changing, setChanging] = useState<Limits | null>(null);
  const action = useAction();
  const now = limits.data?.data[0];
  const save = async () => {
    if (!(await action.run(() => ask(caller, `${path}/rate_limits/rl-all`, { method: 'POST', body: changing! })))) return;
    setChanging(null);
    limits.refresh();
  };
  return (
    <section class="card tenant" aria-label={tenant.name}>
      <header class="item-head">
        <h2>{tenant.name}</h2><Pill state={tenant.status} />
        <span class="row end">
          {now && !changing && <button class="button" onClick={() => setChanging(now)}>Limits</button>}
          {tenant.name !== 'default' && <Confirm label="Archive" sure={`Archive ${tenant.name}`} onConfirm={() => ask(caller, `${path}/archive`, { method: 'POST' }).then(onChange)} />}
        </span>
      </header>
      <p class="soft">{now ? wordsOf(now) : ' '} · since {day(tenant.created_at)}</p>
      {changing && <Form label={`Limits of ${tenant.name}`} action={action} submit="Save" onSubmit={save} onCancel={() => setChanging(null)}><LimitFields limits={changing} onChange={setChanging} /></Form>}
      <KeyTable session={session} path={`${path}/api_keys`} kind="tenant" />
    </section>
  );
}
