// Dark or light: what the system says, until the reader says otherwise.
import { useLayoutEffect } from 'preact/hooks';

import { useStored } from './store';

export type Theme = 'dark' | 'light';

export function useTheme(): [Theme, () => void] {
  const ofSystem: Theme = matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark';
  const [theme, setTheme] = useStored<Theme>('theme', ofSystem);
  // Before the effects of children, which read the colours of the theme.
  useLayoutEffect(() => { document.documentElement.dataset.theme = theme; }, [theme]);
  return [theme, () => setTheme(theme === 'dark' ? 'light' : 'dark')];
}

export const cssColor = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Colours that tell things apart, in the order of their coming.
const hues = 8;
export const hue = (index: number) => `--c${index % hues}`;
