// Asking again and again, and asking for a change.
import { useEffect, useRef, useState } from 'preact/hooks';

import { ApiError } from './api';

export interface Polled<T> {
  data: T | null;
  error: string;
  status: number; // of the answer that was an error; 0: there is none
  refresh: () => void;
}

const nothing = { data: null, error: '', status: 0 };

// Loads now, every so often while the page is looked at, and when `refresh` is called. A problem leaves the last data in sight.
export function usePoll<T>(load: (signal: AbortSignal) => Promise<T>, everyMs: number, inputs: unknown[]): Polled<T> {
  const [state, setState] = useState<Omit<Polled<T>, 'refresh'>>(nothing);
  const again = useRef(() => {});
  useEffect(() => {
    const controller = new AbortController();
    let round = 0;
    let timer = 0;
    const turn = async () => {
      const mine = ++round;
      clearTimeout(timer);
      const current = () => !controller.signal.aborted && mine === round;
      if (!document.hidden) {
        try {
          const data = await load(controller.signal);
          if (current()) setState({ data, error: '', status: 0 });
        } catch (error) {
          if (current()) setState((old) => ({ ...old, error: (error as Error).message, status: error instanceof ApiError ? error.status : 0 }));
        }
      }
      if (current()) timer = window.setTimeout(turn, everyMs);
    };
    again.current = turn;
    setState(nothing);
    turn();
    return () => { controller.abort(); clearTimeout(timer); };
  }, inputs);
  return { ...state, refresh: () => again.current() };
}

export interface Action {
  busy: boolean;
  error: string;
  // Whether it went well.
  run: (work: () => Promise<unknown>) => Promise<boolean>;
}

export function useAction(): Action {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const run = async (work: () => Promise<unknown>) => {
    setBusy(true);
    setError('');
    try {
      await work();
      return true;
    } catch (problem) {
      setError((problem as Error).message);
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { busy, error, run };
}
