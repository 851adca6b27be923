// Live charts of the server: one stream of statistics, six pictures.
import { useEffect, useState } from 'preact/hooks';

import { ApiError, Stats, streamStats } from './api';
import { Figure } from './parts';
import { Plot } from './plot';

const historySeconds = 180;

interface Chart {
  title: string;
  unit: string;
  lines: { label: string; color: string; value: (stats: Stats) => number | null }[];
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
          if (controller.signal.aborted) return;
          setError((problem as Error).message);
          // Asking again would change nothing: the key has to.
          if (problem instanceof ApiError && problem.status === 401) return;
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
  const at = history.map((stats) => stats.time);
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
            <Plot
              at={at} unit={chart.unit} theme={theme} lastSeconds={historySeconds}
              lines={chart.lines.map(({ label, color, value }) => ({ label, color, values: history.map(value) }))}
            />
          </section>
        ))}
      </div>
    </main>
  );
}
