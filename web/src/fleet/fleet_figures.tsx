import { percent } from '../format';
import { Figure, Meter } from '../parts';
import { State } from './forge';

export function FleetFigures({ state }: { state: State }) {
  const { devices, busy, running, waiting } = state.totals;
  const up = state.nodes.filter((node) => node.state === 'up').length;
  return (
    <div class="figures">
      <div class="figure"><span class="value">{devices > 0 ? percent(busy / devices) : '–'}<small>{Number(busy.toFixed(2))} of {devices} devices</small></span><Meter share={devices > 0 ? busy / devices : 0} label="Devices in use" /><span class="label">in use</span></div>
      <Figure label="jobs running" value={String(running)} />
      <Figure label="jobs waiting" value={String(waiting)} />
      <Figure label="nodes up" value={String(up)} unit={up < state.nodes.length ? `of ${state.nodes.length}` : ''} />
      <Figure label="policy" value={state.policy} />
    </div>
  );
}
