// How much a deployment buys: what is slid to is sent at once, one change after the other, and the last one counts.
import { useEffect, useRef, useState } from 'preact/hooks';

import { Caller, ask } from '../api';
import { ptu } from '../format';
import { Problem } from '../parts';
import { Deployment } from './contracts';

interface PtuSliderProps {
  one: Deployment;
  caller: Caller;
  most: number; // where the slider ends
  room: number | null; // what the machine can promise; null: not known
  color: string;
  onChange: () => void;
}

const least = 0.001;
const settleMs = 1500;

// A step that gives a hundred or more places, in round numbers.
const stepOf = (most: number) => 10 ** Math.floor(Math.log10(most / 100));

export function PtuSlider({ one, caller, most, room, color, onChange }: PtuSliderProps) {
  const [wish, setWish] = useState<number | null>(null); // null: what the server says
  const [draft, setDraft] = useState<string | null>(null); // while somebody writes
  const [problem, setProblem] = useState('');
  const wanted = useRef<number | null>(null);
  const sending = useRef(false);
  const sentAt = useRef(0);
  const [end] = useState(most);
  const value = wish ?? one.ptu;
  const top = Math.max(end, one.ptu);
  // A while after the last change what the server says counts again.
  useEffect(() => { if (wish !== null && !sending.current && performance.now() - sentAt.current > settleMs) setWish(null); }, [one]);

  const send = async () => {
    if (sending.current) return;
    sending.current = true;
    while (wanted.current !== null) {
      const next = wanted.current;
      wanted.current = null;
      try {
        await ask(caller, `v1/deployments/${one.id}`, { method: 'PATCH', body: { ptu: next } });
        setProblem('');
      } catch (error) {
        setProblem((error as Error).message);
        if (wanted.current === null) setWish(null);
      }
    }
    sending.current = false;
    sentAt.current = performance.now();
    onChange();
  };
  const choose = (next: number) => {
    if (!Number.isFinite(next) || next < least) return;
    setWish(next);
    wanted.current = next;
    send();
  };

  const written = () => {
    if (draft !== null) choose(Number(draft));
    setDraft(null);
  };

  const over = room !== null && value > room + 1e-9;
  return (
    <div class="ptu">
      <input
        type="range" aria-label={`PTU of ${one.name}`} min={0} max={top} step={stepOf(top)} value={value}
        style={{ '--fill': `${(100 * value) / top}%`, '--flame': `var(${color})` }}
        onInput={(event) => choose(Math.max(event.currentTarget.valueAsNumber, Math.max(least, stepOf(top))))}
      />
      <label><input
        class="number" type="number" aria-label={`PTU of ${one.name}, exactly`} min={least} step="any" value={draft ?? ptu(value)}
        onInput={(event) => setDraft(event.currentTarget.value)} onChange={written} onBlur={written}
      /> PTU</label>
      {over && !problem && <Problem text={`More than this machine can promise: ${ptu(room)} PTU.`} />}
      <Problem text={problem} />
    </div>
  );
}
