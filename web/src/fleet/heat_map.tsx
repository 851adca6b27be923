// Every machine as a tile and every device as a square in it, by region and cluster: coloured by who uses it, hollow when idle.
import { percent } from '../format';
import type { Chosen } from './fleet';
import { JobLine, NodeView, State } from './forge';

interface HeatMapProps {
  state: State;
  jobs: JobLine[];
  color: Map<string, string>;
  chosen: Chosen;
  onNode: (name: string) => void;
}

// From so many devices on a node is one square, as bright as it is busy.
const devicesDrawn = 3000;

function shareOf(node: NodeView) {
  return node.devices.length > 0 ? node.busy / node.devices.length : 0;
}

export function HeatMap({ state, jobs, color, chosen, onNode }: HeatMapProps) {
  const colorOfJob = new Map(jobs.map((job) => [job.id, color.get(job.virtual_cluster) ?? '--muted']));
  const whole = state.totals.devices > devicesDrawn;
  const holds = (node: NodeView) => chosen !== null && 'job' in chosen && node.devices.some((uses) => uses.some((use) => use.job === chosen.job));
  const square = (uses: NodeView['devices'][number]) => {
    const share = uses.reduce((sum, use) => sum + use.share, 0);
    const of = uses.length > 0 ? colorOfJob.get(uses[0].job) ?? '--muted' : '';
    return <i class="device" style={of ? { background: `color-mix(in srgb, var(${of}) ${Math.round(35 + 65 * Math.min(1, share))}%, transparent)`, borderColor: 'transparent' } : undefined} />;
  };
  const tile = (node: NodeView) => {
    const classes = ['node', node.state, whole ? 'whole' : '', holds(node) || (chosen && 'node' in chosen && chosen.node === node.name) ? 'chosen' : ''].filter(Boolean).join(' ');
    const words = `${node.name}, ${node.kind}: ${node.state}, ${Number(node.busy.toFixed(2))} of ${node.devices.length} devices in use`;
    return (
      <button
        key={node.name} class={classes} title={words} aria-label={words} onClick={() => onNode(node.name)}
        style={whole ? { background: `color-mix(in srgb, var(--flame) ${Math.round(100 * shareOf(node))}%, var(--card))` } : undefined}
      >
        {!whole && <span class="devices">{node.devices.map(square)}</span>}
        {!whole && <span class="node-name">{node.name}</span>}
      </button>
    );
  };
  return (
    <section class="card heat" aria-label="Nodes">
      <h2>Nodes<small>by region and cluster</small>
        <span class="legend">{state.virtual_clusters.map(({ name }) => <span><i class="chip" style={{ '--mark': `var(${color.get(name)})` }} />{name}</span>)}<span><i class="device" />idle</span></span>
      </h2>
      <div class="regions">
        {state.regions.map((region) => {
          const clusters = state.clusters.filter((cluster) => cluster.region === region.name);
          const nodes = state.nodes.filter((node) => node.region === region.name);
          const busy = nodes.reduce((sum, node) => sum + node.busy, 0);
          const devices = nodes.reduce((sum, node) => sum + node.devices.length, 0);
          return (
            <div class="region" key={region.name}>
              <h3>{region.name}<small>{devices > 0 ? `${percent(busy / devices)} in use` : 'no nodes'}{region.carbon_g_per_kwh > 0 ? ` · ${region.carbon_g_per_kwh} g CO₂/kWh` : ''}</small></h3>
              <div class="clusters">{clusters.map((cluster) => {
                const these = nodes.filter((node) => node.cluster === cluster.name);
                if (these.length === 0) return null;
                return (
                  <div class="cluster" key={cluster.name}>
                    {(clusters.length > 1 || cluster.name !== region.name || cluster.spot) && <h4>{cluster.name}{cluster.spot && <small>spot</small>}</h4>}
                    <div class="nodes">{these.map(tile)}</div>
                  </div>
                );
              })}</div>
            </div>
          );
        })}
      </div>
    </section>
  );
}
