// The machine as one bar: what is sold, to whom, and what is left.
import { ptu } from '../format';
import { Command } from '../parts';
import { Capacity, Deployment } from './contracts';

export function CapacityBar({ capacity, all, color }: { capacity: Capacity; all: Deployment[]; color: Map<string, string> }) {
  const total = capacity.ptu;
  if (total === null) {
    return (
      <section class="card capacity">
        <h2>Capacity <small>not known yet</small></h2>
        <p class="soft">{ptu(capacity.sold)} PTU are sold. How many this machine has, nobody has measured: it is learned from the work as it comes, or measured once with</p>
        <Command text="hearth calibrate" />
      </section>
    );
  }
  const whole = Math.max(total, capacity.sold, 0.001);
  const bought = all.filter((one) => one.ptu > 0);
  return (
    <section class="card capacity">
      <h2>
        Capacity of this machine <small>{capacity.source === 'learned' ? 'as learned from its work; hearth calibrate measures it' : 'as measured by hearth calibrate'}</small>
        <b>{ptu(capacity.sold)} of {ptu(total)} PTU sold</b>
      </h2>
      <div class="stacked" role="img" aria-label={`${ptu(capacity.sold)} of ${ptu(total)} PTU sold`}>
        {bought.map((one) => (
          <span key={one.id} style={{ width: `${(one.ptu / whole) * 100}%`, background: `var(${color.get(one.id)})` }} title={`${one.name}: ${ptu(one.ptu)} PTU`} />
        ))}
      </div>
      <p class="soft">{capacity.left === null || capacity.left <= 0 ? 'Everything is sold.' : `${ptu(capacity.left)} PTU are left; what nobody bought or uses serves standard and batch work.`}</p>
    </section>
  );
}
