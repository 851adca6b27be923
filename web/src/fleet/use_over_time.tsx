// How much of the fleet was used, and whether each virtual cluster had what it is guaranteed.
import { Line, Plot } from '../plot';
import { State, Timeline } from './forge';

export function UseOverTime({ timeline, state, color, theme, minutes }: { timeline: Timeline; state: State; color: Map<string, string>; theme: string; minutes: number }) {
  // The books are written every ten seconds; the end of each line is of now.
  const used = Object.fromEntries(state.virtual_clusters.map((each) => [each.name, each.used]));
  const samples = [...timeline.samples, { at: state.now, ...state.totals, virtual_clusters: used }];
  if (samples.length < 2) return null;
  const at = samples.map((sample) => sample.at / 1000);
  const promised = state.virtual_clusters.filter((each) => each.guarantee > 0);
  const of = (name: string): Line => ({ label: name, color: color.get(name)!, values: samples.map((sample) => sample.virtual_clusters[name] ?? 0) });
  const promise = ({ name, guarantee }: State['virtual_clusters'][number]): Line => ({ label: `${name} guaranteed`, color: color.get(name)!, promise: true, values: samples.map(() => guarantee) });
  return (
    <div class="charts three">
      <section class="card">
        <h2>Devices in use<small>and in all</small></h2>
        <Plot
          at={at} unit="" theme={theme} lastSeconds={minutes * 60} height={170}
          lines={[{ label: 'in use', color: '--flame', values: samples.map((sample) => sample.busy) }, { label: 'devices', color: '--muted', promise: true, values: samples.map((sample) => sample.devices) }]}
        />
      </section>
      <section class="card">
        <h2>Virtual clusters<small>devices, dashed: guaranteed</small></h2>
        <Plot at={at} unit="" theme={theme} lastSeconds={minutes * 60} height={170} lines={[...state.virtual_clusters.map(({ name }) => of(name)), ...promised.map(promise)]} />
      </section>
      <section class="card">
        <h2>Jobs<small>running and waiting</small></h2>
        <Plot
          at={at} unit="" theme={theme} lastSeconds={minutes * 60} height={170}
          lines={[{ label: 'running', color: '--flame', values: samples.map((sample) => sample.running) }, { label: 'waiting', color: '--rose', values: samples.map((sample) => sample.waiting) }]}
        />
      </section>
    </div>
  );
}
