// Live charts of the server: one stream of statistics, six pictures.
import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

import { Stats, streamStats } from './api';

const historySeconds = 180;

interface Line {
  label: string;
  color: string; // a CSS variable
  value: (stats: Stats) => number | null;
}

interface Chart {
  title: string;
  unit: string;
  lines: Line[];
}

const milliseconds = (seconds: number | null) => (seconds === null ? null : seconds * 1000);

const charts: Chart[] = [
  {
    title: 'Tokens per second', unit: 'tokens/s',
    lines: [
      { label: 'generated', color: '--flame', value: (s) => s.generation_tokens_per_second },
      { label: 'prompt', color: '--sky', value: (s) => s.prompt_tokens_per_second },
    ],
  },
  {
    title: 'Time between tokens', unit: 'ms',
    lines: [
      { label: 'median', color: '--flame', value: (s) => milliseconds(s.itl_seconds.p50) },
      { label: 'p99', color: '--rose', value: (s) => milliseconds(s.itl_seconds.p99) },
    ],
  },
  {
    title: 'Time to first token', unit: 'ms',
    lines: [
      { label: 'median', color: '--flame', value: (s) => milliseconds(s.ttft_seconds.p50) },
      { label: 'p99', color: '--rose', value: (s) => milliseconds(s.ttft_seconds.p99) },
    ],
  },
  {
    title: 'KV cache', unit: '%',
    lines: [
      { label: 'in use', color: '--flame', value: (s) => s.kv_cache_usage * 100 },
      { label: 'kept for later', color: '--sky', value: (s) => s.kv_cache_cached * 100 },
    ],
  },
  {
    title: 'Requests', unit: '',
    lines: [
      { label: 'running', color: '--flame', value: (s) => s.running },
      { label: 'waiting', color: '--rose', value: (s) => s.waiting },
    ],
  },
  {
    title: 'Size of a step', unit: 'tokens',
    lines: [{ label: 'mean', color: '--flame', value: (s) => s.tokens_per_step }],
  },
];

const cssColor = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// The newest value at the right edge, however short the history is.
const lastMinutes = (_: uPlot, __: number | null, newest: number | null): uPlot.Range.MinMax => {
  const end = newest ?? Date.now() / 1000;
  return [end - historySeconds, end];
};

const clockTime = (seconds: number) => new Date(seconds * 1000).toTimeString().slice(0, 8);

function options(chart: Chart, width: number): uPlot.Options {
  const axis = { stroke: cssColor('--muted'), grid: { stroke: cssColor('--line'), width: 1 }, ticks: { show: false }, font: '11px system-ui' };
  return {
    width,
    height: 190,
    cursor: { y: false },
    legend: { live: true, markers: { width: 0, fill: (_, series) => cssColor(chart.lines[series - 1].color) } },
    scales: { x: { range: lastMinutes }, y: { range: (_, __, max) => [0, Math.max(1, (max ?? 0) * 1.15)] } },
    axes: [{ ...axis, size: 30, space: 90, values: (_, seconds) => seconds.map(clockTime) }, { ...axis, size: 46 }],
    series: [
      {},
      ...chart.lines.map((line) => ({
        label: line.label, stroke: cssColor(line.color), fill: `${cssColor(line.color)}1c`, width: 2, points: { show: false }, spanGaps: true,
        value: (_: uPlot, raw: number | null) => (raw === null || raw === undefined ? '–' : `${raw.toFixed(raw < 10 && !Number.isInteger(raw) ? 1 : 0)} ${chart.unit}`.trim()),
      })),
    ],
  };
}

function Plot({ chart, history, theme }: { chart: Chart; history: Stats[]; theme: string }) {
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const data = () => [history.map((stats) => stats.time), ...chart.lines.map((line) => history.map(line.value))] as uPlot.AlignedData;

  useEffect(() => {
    const div = holder.current;
    if (!div) return;
    plot.current = new uPlot(options(chart, div.clientWidth), data(), div);
    const observer = new ResizeObserver(() => plot.current?.setSize({ width: div.clientWidth, height: 190 }));
    observer.observe(div);
    return () => {
      observer.disconnect();
      plot.current?.destroy();
    };
  }, [theme]);

  useEffect(() => {
    plot.current?.setData(data());
    // Without a pointer over the chart the legend tells the newest values.
    if (plot.current?.cursor.left === undefined || plot.current.cursor.left < 0) plot.current?.setLegend({ idx: history.length - 1 });
  }, [history]);
  return <div ref={holder} />;
}

function Figure({ label, value, unit }: { label: string; value: string; unit: string }) {
  return <div class="figure"><span class="value">{value}<small>{unit}</small></span><span class="label">{label}</span></div>;
}

const shown = (value: number | null | undefined, digits = 0) => (value === null || value === undefined ? '–' : value.toFixed(digits));

// Collects the stream while the page is open, whichever view is shown.
export function useStats(key: string): { history: Stats[]; error: string } {
  const [history, setHistory] = useState<Stats[]>([]);
  const [error, setError] = useState('');
  useEffect(() => {
    const controller = new AbortController();
    (async () => {
      while (!controller.signal.aborted) {
        try {
          for await (const stats of streamStats(key, controller.signal)) {
            setError('');
            setHistory((old) => [...old.slice(1 - historySeconds), stats]);
          }
        } catch (problem) {
          if (!controller.signal.aborted) setError((problem as Error).message);
        }
        await new Promise((resolve) => setTimeout(resolve, 2000));
      }
    })();
    return () => controller.abort();
  }, [key]);
  return { history, error };
}

export function Live({ history, error, theme }: { history: Stats[]; error: string; theme: string }) {
  const now = history[history.length - 1];
  return (
    <main class="live">
      {error && <p class="error" role="alert">No statistics: {error}</p>}
      <div class="figures">
        <Figure label="generated" value={shown(now?.generation_tokens_per_second)} unit="tokens/s" />
        <Figure label="between tokens" value={shown(milliseconds(now?.itl_seconds.p50 ?? null), 1)} unit="ms" />
        <Figure label="to first token" value={shown(milliseconds(now?.ttft_seconds.p50 ?? null), 0)} unit="ms" />
        <Figure label="running" value={shown(now?.running)} unit="" />
        <Figure label="waiting" value={shown(now?.waiting)} unit="" />
        <Figure label="KV cache in use" value={shown(now && now.kv_cache_usage * 100, 1)} unit="%" />
      </div>
      <div class="charts">
        {charts.map((chart) => (
          <section class="card">
            <h2>{chart.title}{chart.unit && <small>{chart.unit}</small>}</h2>
            <Plot chart={chart} history={history} theme={theme} />
          </section>
        ))}
      </div>
    </main>
  );
}
