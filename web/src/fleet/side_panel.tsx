// What is chosen, at the side.
import { ComponentChildren } from 'preact';

import { Close } from '../icons';

export function SidePanel({ title, onClose, children }: { title: string; onClose: () => void; children: ComponentChildren }) {
  return (
    <aside class="detail-panel" aria-label={title}>
      <header class="item-head"><h2>{title}</h2><button class="quiet icon" aria-label="Close" title="Close (Esc)" onClick={onClose}><Close /></button></header>
      {children}
    </aside>
  );
}
