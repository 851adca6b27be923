// Numbers and times as people read them.

export function count(value: number): string {
  if (Math.abs(value) < 10_000) return Math.round(value).toLocaleString('en');
  if (Math.abs(value) < 1e6) return `${(value / 1e3).toFixed(1)}k`;
  return Math.abs(value) < 1e9 ? `${(value / 1e6).toFixed(2)}M` : `${(value / 1e9).toFixed(2)}G`;
}

// At most three digits after the point, and no zeros at the end.
export const ptu = (value: number) => String(Number(value.toFixed(value < 10 ? 3 : 1)));

export const percent = (share: number) => `${(share * 100).toFixed(share < 0.1 && share > 0 ? 1 : 0)} %`;

export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const step = value > 0 ? Math.min(units.length - 1, Math.floor(Math.log2(value) / 10)) : 0;
  const scaled = value / 1024 ** step;
  return `${scaled.toFixed(step > 0 && scaled < 10 ? 1 : 0)} ${units[step]}`;
}

export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 100) return `${s} s`;
  if (s < 6000) return `${Math.floor(s / 60)} min`;
  if (s < 48 * 3600) return `${Math.floor(s / 3600)} h ${String(Math.floor(s / 60) % 60).padStart(2, '0')} min`;
  return `${Math.floor(s / 86_400)} days`;
}

export const ago = (seconds: number) => `${duration(Date.now() / 1000 - seconds)} ago`;
export const clock = (seconds: number) => new Date(seconds * 1000).toTimeString().slice(0, 8);
export const day = (seconds: number) => new Date(seconds * 1000).toLocaleDateString('en', { day: 'numeric', month: 'short', year: 'numeric' });
export const moment = (seconds: number) => `${day(seconds)}, ${clock(seconds)}`;
