// The same four questions about every deployment, over the last minutes.
import { Line, Plot } from '../plot';
import { Contracts, Rates } from './contracts';

const historySeconds = 180;

interface Chart {
  title: string;
  unit: string;
  value: (rates: Rates) => number | null;
  promise?: (rates: Rates) => number | null;
}

const charts: Chart[] = [
  { title: 'Delivered', unit: 'PTU', value: (r) => r.delivered, promise: (r) => r.bought },
  { title: 'Time per token', unit: 'ms', value: (r) => r.perToken },
  { title: 'Prompt tokens', unit: 'a minute', value: (r) => r.prompt },
  { title: 'Generated tokens', unit: 'a minute', value: (r) => r.generated },
];

export function DeploymentCharts({ contracts, color, theme }: { contracts: Contracts; color: Map<string, string>; theme: string }) {
  const { all, at, rates } = contracts;
  const line = (id: string, label: string, value: (rates: Rates) => number | null, promise?: boolean): Line => ({
    label, color: color.get(id)!, promise, values: rates.get(id)!.map((each) => (each ? value(each) : null)),
  });
  return (
    <div class="charts four">
      {charts.map(({ title, unit, value, promise }) => (
        <section class="card" key={title}>
          <h2>{title}<small>{unit}{promise ? ', dashed: bought' : ''}</small></h2>
          <Plot
            at={at} unit={unit === 'a minute' ? '' : unit} theme={theme} lastSeconds={historySeconds} height={168} top={0.01}
            lines={[
              ...all.map(({ id, name }) => line(id, name, value)),
              ...(promise ? all.filter((one) => one.ptu > 0).map(({ id, name }) => line(id, `${name} bought`, promise, true)) : []),
            ]}
          />
        </section>
      ))}
    </div>
  );
}
