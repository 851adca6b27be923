// Contracts on throughput: what the machine has, what of it is sold, and how it is delivered.
import { useState } from 'preact/hooks';

import { ptu } from '../format';
import { Empty, PageHead, Problem } from '../parts';
import { hue } from '../theme';
import { CapacityBar } from './capacity_bar';
import type { PageProps } from './console';
import { Rates, useContracts } from './contracts';
import { DeploymentCard } from './deployment_card';
import { DeploymentCharts } from './deployment_charts';
import { NewDeployment } from './new_deployment';
import { isAdmin } from './session';

const latest = (rates: (Rates | null)[] | undefined) => (rates && rates.length > 0 ? rates[rates.length - 1] : null);

export function Deployments({ session }: PageProps) {
  const { data, error, refresh } = useContracts(session);
  const [making, setMaking] = useState(false);
  const admin = isAdmin(session.who);
  if (!data) return <Problem text={error} />;
  const { all, capacity } = data;
  const color = new Map(all.map(({ id }, index) => [id, hue(index)]));
  // As far as a slider goes; the end does not move while somebody slides.
  const sold = all.reduce((sum, one) => sum + one.ptu, 0);
  const most = capacity?.ptu ?? Math.max(10, 2 ** Math.ceil(Math.log2(sold * 2 + 1)));
  const made = () => { setMaking(false); refresh(); };
  return (
    <>
      <PageHead title="Deployments" about="Who gets how much of this machine, promised in provisioned throughput units (PTU).">
        {admin && !making && <button class="button main" onClick={() => setMaking(true)}>New deployment</button>}
      </PageHead>
      <Problem text={error} />
      {making && <NewDeployment session={session} left={capacity?.left ?? null} onDone={made} onCancel={() => setMaking(false)} />}
      {capacity && <CapacityBar capacity={capacity} all={all} color={color} />}
      {all.length > 0 && <DeploymentCharts contracts={data} color={color} theme={session.theme} />}
      <div class="deployments">
        {all.map((one) => (
          <DeploymentCard
            key={one.id} one={one} now={latest(data.rates.get(one.id))} color={color.get(one.id)!} session={session}
            most={Math.max(most, one.ptu)} room={capacity?.left === null || capacity === null ? null : capacity.left + one.ptu} onChange={refresh}
          />
        ))}
      </div>
      {all.length === 0 && !making && (
        <Empty title="No deployments yet" command={admin ? 'hearth deployments create chat --ptu 2' : undefined}>
          <p>Without one, every request is served as standard work, in turn and as fast as it goes.</p>
          {admin
            ? <p>A deployment buys a tenant a fixed rate for a model or adapter: one PTU is a prompt of 1,000 tokens a minute.{capacity?.left ? ` This machine has ${ptu(capacity.left)} PTU to sell.` : ''} Make one above, or here:</p>
            : <p>Ask your admin for one to get a rate that holds whatever others do.</p>}
        </Empty>
      )}
    </>
  );
}
