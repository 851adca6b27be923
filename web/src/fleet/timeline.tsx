// Who ran where and when: a lane for each device, a bar for each run.
import { useLayoutEffect, useRef, useState } from 'preact/hooks';

import { clock } from '../format';
import { Span, State, Timeline } from './forge';
import { lanesOf, runsOf } from './lanes';

interface TimelineProps {
  timeline: Timeline | null;
  state: State;
  color: Map<string, string>;
  minutes: number;
  onMinutes: (minutes: number) => void;
  chosen: number;
  onJob: (id: number) => void;
}

const windows: [string, number][] = [['10 min', 10], ['1 h', 60], ['6 h', 360], ['24 h', 1440]];
const left = 96;

// The room there is, in pixels: text keeps its size however wide the page is.
function useWidth() {
  const holder = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const measure = () => setWidth(Math.max(560, holder.current?.clientWidth ?? 0));
    const observer = new ResizeObserver(measure);
    measure();
    observer.observe(holder.current!);
    return () => observer.disconnect();
  }, []);
  return { holder, width };
}

function Bars({ timeline, state, color, minutes, chosen, onJob }: Omit<TimelineProps, 'onMinutes'> & { timeline: Timeline }) {
  const { rows, height, hidden } = lanesOf(state.nodes);
  const { holder, width } = useWidth();
  const end = timeline.now;
  const begin = end - minutes * 60_000;
  const x = (at: number) => left + ((Math.max(at, begin) - begin) / (end - begin)) * (width - left);
  const marks = Array.from({ length: 6 }, (_, i) => begin + ((end - begin) * i) / 5);
  const bar = (span: Span) => {
    const row = rows.get(span.node);
    if (!row) return null;
    const from = x(span.from);
    const long = Math.max(1.5, x(span.until ?? end) - from);
    const words = `${span.name} (job ${span.job}), ${span.virtual_cluster}, ${span.tier}: ${clock(span.from / 1000)} to ${span.until ? `${clock(span.until / 1000)}, ${span.outcome}` : 'now'}`;
    return runsOf(span.devices).map(([first, last]) => {
      const tall = (last - first + 1) * row.lane - 1;
      return (
        <g class={`run ${span.outcome ?? 'now'} ${span.job === chosen ? 'chosen' : ''}`} onClick={() => onJob(span.job)}>
          <title>{words}</title>
          <rect x={from} y={row.top + first * row.lane} width={long} height={tall} rx={2} fill={`var(${color.get(span.virtual_cluster) ?? '--muted'})`} />
          {long > 60 && tall >= 10 && <text x={from + 5} y={row.top + first * row.lane + tall / 2 + 3.5}>{span.name.slice(0, Math.floor(long / 7))}</text>}
        </g>
      );
    });
  };
  return (
    <div ref={holder} class="timeline-holder">
      <svg class="timeline" width={width} height={height + 20} role="img" aria-label="Runs of jobs over time">
        {marks.map((at, index) => <g class="mark"><line x1={x(at)} x2={x(at)} y1={0} y2={height} /><text x={x(at)} y={height + 14} text-anchor={index === 0 ? 'start' : index === marks.length - 1 ? 'end' : 'middle'}>{clock(at / 1000).slice(0, minutes < 60 ? 8 : 5)}</text></g>)}
        {[...rows].map(([name, row]) => <g class="lane"><line x1={0} x2={width} y1={row.top + row.tall + 2} y2={row.top + row.tall + 2} /><text x={0} y={row.top + row.tall / 2 + 4}>{name.length > 15 ? `${name.slice(0, 14)}…` : name}</text></g>)}
        {timeline.spans.map(bar)}
      </svg>
      {hidden > 0 && <p class="soft">and {hidden} nodes more</p>}
    </div>
  );
}

export function TimelineCard(props: TimelineProps) {
  const { timeline, minutes, onMinutes } = props;
  return (
    <section class="card">
      <h2>Jobs over time
        <span class="tabs end" role="tablist" aria-label="Time shown">{windows.map(([name, each]) => <button role="tab" aria-selected={each === minutes} onClick={() => onMinutes(each)}>{name}</button>)}</span>
      </h2>
      {timeline && timeline.spans.length > 0
        ? <Bars {...props} timeline={timeline} />
        : <p class="soft quiet-note">{timeline ? 'Nothing ran in this time.' : ''}</p>}
    </section>
  );
}
