// One contract: what it is, its rate to slide, and how it is served now.
import { ask } from '../api';
import { count, percent, ptu } from '../format';
import { Confirm, Meter, Pill } from '../parts';
import { useAction } from '../poll';
import { Problem } from '../parts';
import { Deployment, Rates } from './contracts';
import { PtuSlider } from './ptu_slider';
import { Session, isAdmin } from './session';

interface DeploymentCardProps {
  one: Deployment;
  now: Rates | null;
  color: string;
  session: Session;
  most: number;
  room: number | null;
  onChange: () => void;
}

function Fact({ label, value, title }: { label: string; value: string; title?: string }) {
  return <div class="fact" title={title}><b>{value}</b><span>{label}</span></div>;
}

export function DeploymentCard({ one, now, color, session, most, room, onChange }: DeploymentCardProps) {
  const { caller, who } = session;
  const { status } = one;
  const bought = one.service_class === 'provisioned';
  const changing = useAction();
  const path = `v1/deployments/${one.id}`;
  const spill = (on: boolean) => changing.run(() => ask(caller, path, { method: 'PATCH', body: { spillover: on ? 'standard' : 'refuse' } })).then(onChange);
  const used = bought && now ? now.delivered / one.ptu : 0;
  return (
    <article class="card deployment" aria-label={one.name} style={{ '--mark': `var(${color})` }}>
      <header>
        <h3><i class="chip" />{one.name}</h3>
        <p class="soft">{one.tenant} · {one.model === '*' ? 'all models' : one.model}</p>
        <Pill state={one.service_class} tone={bought ? 'busy' : 'dim'} />
      </header>
      {bought && isAdmin(who) && <PtuSlider one={one} caller={caller} most={most} room={room} color={color} onChange={onChange} />}
      {bought && (
        <div class="delivered">
          <Meter share={used} label={`Delivered of what ${one.name} bought`} />
          <span>{ptu(now?.delivered ?? 0)} of {ptu(one.ptu)} PTU delivered</span>
        </div>
      )}
      <div class="facts-row">
        <Fact label="prompt / min" value={count(now?.prompt ?? 0)} />
        <Fact label="generated / min" value={count(now?.generated ?? 0)} />
        <Fact label="per token" value={now?.perToken ? `${now.perToken.toFixed(now.perToken < 10 ? 2 : 1)} ms` : '–'} />
        {bought && <Fact label="of the bucket" value={percent(status.utilization)} title="From 100 % on, requests are refused or spill over" />}
        <Fact label="running" value={count(status.running)} />
        <Fact label="waiting" value={count(status.waiting)} />
        <Fact label="refused" value={count(status.refused)} />
        {bought && one.spillover === 'standard' && <Fact label="spilled" value={count(status.spilled)} />}
      </div>
      {isAdmin(who) && (
        <footer>
          {bought && (
            <label class="check">
              <input type="checkbox" checked={one.spillover === 'standard'} disabled={changing.busy} onChange={(event) => spill(event.currentTarget.checked)} />
              over its rate, serve as standard work instead of 429
            </label>
          )}
          <Confirm label="Delete" sure={`Delete ${one.name}`} action={changing} onConfirm={() => ask(caller, path, { method: 'DELETE' }).then(onChange)} />
        </footer>
      )}
      <Problem text={changing.error} />
    </article>
  );
}
