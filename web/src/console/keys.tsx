// Who may ask, and how much: tenants, their limits, their keys, and the keys of admins.
import { useState } from 'preact/hooks';

import { ask } from '../api';
import { Empty, PageHead, Problem } from '../parts';
import { usePoll } from '../poll';
import type { PageProps } from './console';
import { KeyTable } from './key_table';
import { NewTenant } from './new_tenant';
import { TenantCard } from './tenant_card';

export interface Tenant {
  id: string;
  name: string;
  created_at: number;
  status: string;
}

export function Keys({ session }: PageProps) {
  const { key } = session.caller;
  const { data, error, refresh } = usePoll((signal) => ask<{ data: Tenant[] }>({ key }, 'v1/organization/projects?limit=100', { signal }), 5000, [key]);
  const [making, setMaking] = useState(false);
  if (!data) return <Problem text={error} />;
  const tenants = data.data.filter((each) => session.project === '' || each.name === session.project);
  return (
    <>
      <PageHead title="Keys" about="Tenants, what each may use, and the keys that say who is asking.">
        {!making && <button class="button main" onClick={() => setMaking(true)}>New tenant</button>}
      </PageHead>
      <Problem text={error} />
      {session.who.api_key_id === 'open' && (
        <p class="note">Nobody needs a key yet. The first key of a tenant closes this server to those without one; make yourself an admin's key first, so that the console stays open to you.</p>
      )}
      {making && <NewTenant caller={{ key }} onDone={() => { setMaking(false); refresh(); }} onCancel={() => setMaking(false)} />}
      <section class="card">
        <h2>Admins</h2>
        <KeyTable session={session} path="v1/organization/admin_api_keys" kind="admin" />
      </section>
      {tenants.map((tenant) => <TenantCard key={tenant.id} tenant={tenant} session={session} onChange={refresh} />)}
      {tenants.length === 0 && !making && (
        <Empty title="No tenants yet" command="hearth tenants add ann --tokens-per-day 5000000">
          <p>A tenant is a team or a customer: its files, adapters, jobs and usage are its own, and no other tenant learns that they exist.</p>
        </Empty>
      )}
    </>
  );
}
