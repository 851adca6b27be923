// What the page remembers, in the browser only: settings between visits, secrets until the tab is closed.
// Written before the browser paints: who reloads at once finds it.
import { useLayoutEffect, useState } from 'preact/hooks';

export function useSecret(key: string): [string, (value: string) => void] {
  const [value, setValue] = useState(() => sessionStorage.getItem(`hearth.${key}`) ?? '');
  useLayoutEffect(() => sessionStorage.setItem(`hearth.${key}`, value), [key, value]);
  return [value, setValue];
}

export function useStored<T>(key: string, initial: T): [T, (value: T) => void] {
  const [value, setValue] = useState<T>(() => read(key, initial));
  useLayoutEffect(() => write(key, value), [key, value]);
  return [value, setValue];
}

function read<T>(key: string, initial: T): T {
  try {
    const text = localStorage.getItem(`hearth.${key}`);
    return text === null ? initial : merge(initial, JSON.parse(text));
  } catch {
    return initial;
  }
}

// A stored object may be older than the page: fields it lacks take their defaults.
function merge<T>(initial: T, stored: T): T {
  const isRecord = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value);
  return isRecord(initial) && isRecord(stored) ? { ...initial, ...stored } : stored;
}

function write(key: string, value: unknown) {
  try {
    localStorage.setItem(`hearth.${key}`, JSON.stringify(value));
  } catch {
    // Private windows and full disks: the page works without memory.
  }
}
