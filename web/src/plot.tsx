// Lines over time, or over the steps of a training job.
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

import { clock } from './format';
import { cssColor } from './theme';

export interface Line {
  label: string;
  color: string; // a CSS variable
  values: (number | null)[];
  // For what was bought or promised: dashed, and not in the legend.
  promise?: boolean;
}

interface PlotProps {
  at: number[]; // seconds, or steps
  lines: Line[];
  unit: string;
  theme: string;
  lastSeconds?: number; // absent: everything
  across?: 'time' | 'steps';
  height?: number;
  top?: number; // the scale reaches at least so far
  fromZero?: boolean;
}

const digits = (raw: number) => (raw < 10 && !Number.isInteger(raw) ? (raw < 1 ? 3 : 2) : 0);
const words = (raw: number | null | undefined, unit: string) => (raw === null || raw === undefined ? '–' : `${raw.toFixed(digits(raw))} ${unit}`.trim());

function options({ lines, unit, lastSeconds, across = 'time', height = 190, top = 1, fromZero = true }: PlotProps, width: number): uPlot.Options {
  const axis = { stroke: cssColor('--muted'), grid: { stroke: cssColor('--line'), width: 1 }, ticks: { show: false }, font: '11px system-ui' };
  const time = across === 'time';
  // The newest value at the right edge, however short the history is.
  const window = (_: uPlot, oldest: number | null, newest: number | null): uPlot.Range.MinMax => {
    const end = newest ?? Date.now() / 1000;
    return lastSeconds ? [end - lastSeconds, end] : [oldest ?? 0, Math.max(end, (oldest ?? 0) + 1)];
  };
  const height_ = (_: uPlot, low: number | null, high: number | null): uPlot.Range.MinMax => {
    if (fromZero) return [0, Math.max(top, (high ?? 0) * 1.15)];
    const room = Math.max(((high ?? 1) - (low ?? 0)) * 0.1, 1e-3);
    return [(low ?? 0) - room, (high ?? 1) + room];
  };
  const few = lines.filter((line) => !line.promise).length <= 2;
  return {
    width,
    height,
    cursor: { y: false, points: { size: 7 } },
    legend: { live: true, markers: { width: 0, fill: (_, series) => cssColor(lines[series - 1].color) } },
    scales: { x: { time: false, range: window }, y: { range: height_ } },
    axes: [
      { ...axis, size: 30, space: 90, values: (_, marks) => marks.map((mark) => (time ? clock(mark) : String(mark))) },
      { ...axis, size: 46 },
    ],
    series: [
      {},
      ...lines.map((line) => ({
        label: line.label, stroke: cssColor(line.color), width: line.promise ? 1.5 : 2, dash: line.promise ? [5, 5] : undefined, points: { show: false },
        fill: few && !line.promise ? `${cssColor(line.color)}1c` : undefined, spanGaps: true, class: line.promise ? 'promise' : undefined,
        value: (_: uPlot, raw: number | null) => words(raw, unit),
      })),
    ],
  };
}

export function Plot(props: PlotProps) {
  const { at, lines, theme, height = 190, unit, across } = props;
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const data = () => [at, ...lines.map((line) => line.values)] as uPlot.AlignedData;
  const shape = lines.map((line) => line.label + line.color).join();

  useEffect(() => {
    const div = holder.current;
    if (!div) return;
    plot.current = new uPlot(options(props, div.clientWidth), data(), div);
    const observer = new ResizeObserver(() => plot.current?.setSize({ width: div.clientWidth, height }));
    observer.observe(div);
    return () => {
      observer.disconnect();
      plot.current?.destroy();
    };
  }, [theme, shape, unit, across, props.lastSeconds, height]);

  useEffect(() => {
    plot.current?.setData(data());
    // Without a pointer over the chart the legend tells the newest values.
    if (plot.current?.cursor.left === undefined || plot.current.cursor.left < 0) plot.current?.setLegend({ idx: at.length - 1 });
  }, [at, lines]);
  return <div ref={holder} class="plot" />;
}
