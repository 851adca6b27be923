// The bar on top of every view.
import { ComponentChildren } from 'preact';

import { Flame, Moon, Sun } from './icons';
import { Theme } from './theme';

interface HeaderProps {
  version: string;
  theme: Theme;
  onTheme: () => void;
  children?: ComponentChildren; // the views
  tools?: ComponentChildren; // of this view
  name?: string;
}

export function Header({ version, theme, onTheme, children, tools, name = 'Hearth' }: HeaderProps) {
  return (
    <header class="bar">
      <a class="brand" href="#/" aria-label={name}><Flame size={26} /><span>{name}</span><small>{version}</small></a>
      <nav aria-label="Views">{children}</nav>
      <div class="tools">
        {tools}
        <button class="quiet icon" title="Dark or light" aria-label="Dark or light" onClick={onTheme}>{theme === 'dark' ? <Sun /> : <Moon />}</button>
      </div>
    </header>
  );
}
