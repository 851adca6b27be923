// Line icons on a 20-unit grid, drawn in the colour of the text beside them.
import { JSX } from 'preact';

const icon = (path: JSX.Element) => () => (
  <svg viewBox="0 0 20 20" width="18" height="18" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
    {path}
  </svg>
);

export const Send = icon(<path d="M10 16V4m0 0L5 9m5-5 5 5" />);
export const Stop = icon(<rect x="5.5" y="5.5" width="9" height="9" rx="1.5" fill="currentColor" />);
export const Plus = icon(<path d="M10 4v12M4 10h12" />);
export const Retry = icon(<path d="M15.5 7A6 6 0 1 0 16 11M16 3.5V7.200h-3.700" />);
export const Copy = icon(<path d="M7 7V4.5h8.5V13H13M4.5 7H13v8.5H4.5z" />);
export const Sun = icon(<path d="M10 6.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7ZM10 2v1.5M10 16.5V18M2 10h1.5M16.5 10H18M4.400 4.400l1 1M14.600 14.600l1 1M4.400 15.600l1-1M14.600 5.400l1-1" />);
export const Moon = icon(<path d="M16 11.5A6.5 6.5 0 0 1 8.5 4a6.5 6.5 0 1 0 7.5 7.5Z" />);
export const Sliders = icon(<path d="M3.5 6h7M14.5 6h2M3.5 14h2M9.5 14h7M12.5 4v4M7.5 12v4" />);
export const Close = icon(<path d="m5 5 10 10M15 5 5 15" />);
export const Bars = icon(<path d="M4 16V9M8 16V5M12 16v-4M16 16V7" />);
export const Chat = icon(<path d="M3.5 4.5h13v9H9l-3.5 3v-3h-2z" />);

export const Grid = icon(<path d="M4 4h5v5H4zM11 4h5v5h-5zM4 11h5v5H4zM11 11h5v5h-5z" />);
export const Gauge = icon(<path d="M4 14.500a6.500 6.500 0 1 1 12 0M10 13l3-4.500" />);
export const Layers = icon(<path d="m10 3.500 6.500 3.500L10 10.500 3.500 7zM3.500 10.200l6.500 3.500 6.500-3.500M3.500 13.300l6.500 3.200 6.500-3.200" />);
export const Curve = icon(<path d="M3.500 4v12.500H16.500M6 6.500c1.500 5.500 4 7 10 7" />);
export const Stack = icon(<path d="M4 5.500h12M4 10h12M4 14.500h7" />);
export const Key = icon(<path d="M7 16a3.300 3.300 0 1 0 0-6.600A3.300 3.300 0 0 0 7 16ZM9.400 10.300 15.500 4.200M13 6.700l2.300 2.300" />);
export const Coins = icon(<path d="M4 16V8.500h3V16M8.500 16V4h3v12M13 16v-5.500h3V16" />);
export const Pulse = icon(<path d="M3 10.500h3.500L8.500 5l3.500 10 2-4.500h3" />);

export function Flame({ size = 28 }: { size?: number }) {
  return (
    <svg viewBox="0 0 32 32" width={size} height={size} aria-hidden="true">
      <path d="M17 2c1 5-6 8-6 15 0 2 .6 3.5 1.600 4.700C12 18 15 16 16 13c2 2.5 4.400 4.700 4.400 8.300 0 1.300-.3 2.400-.8 3.400 2.700-1.300 4.400-4 4.400-7.200C24 11 18.5 8 17 2Z" fill="var(--flame)" />
      <path d="M9 19c-1 1.5-1.5 3-1.5 4.600C7.5 27.700 11 30 16 30s8.5-2.300 8.5-6.400c0-1-.2-2-.6-2.900-.6 3.300-3.700 6-7.900 6-4.300 0-7.5-3-7-7.700Z" fill="var(--coal)" />
    </svg>
  );
}
