// Small things that every page is made of.
import { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';

import { Action, useAction } from './poll';
import { Copy } from './icons';

export function Figure({ label, value, unit = '' }: { label: string; value: string; unit?: string }) {
  return <div class="figure"><span class="value">{value}{unit && <small>{unit}</small>}</span><span class="label">{label}</span></div>;
}

export function Problem({ text }: { text: string }) {
  return text ? <p class="error" role="alert">{text}</p> : null;
}

const tones: Record<string, string> = {
  running: 'good', succeeded: 'good', completed: 'good', ready: 'good', up: 'good', active: 'good', healthy: 'good', memory: 'good',
  failed: 'bad', expired: 'bad', lost: 'bad', quarantined: 'bad', repair: 'bad', unhealthy: 'bad', suspect: 'bad',
  cancelled: 'dim', archived: 'dim', stored: 'dim', cancelling: 'dim',
};

// What something is doing, by a word and a colour.
export function Pill({ state, tone = tones[state] ?? 'busy' }: { state: string; tone?: string }) {
  return <span class={`pill ${tone}`}>{state.replace(/_/g, ' ')}</span>;
}

export function Meter({ share, label, tone = '' }: { share: number; label: string; tone?: string }) {
  const width = Math.max(0, Math.min(1, share)) * 100;
  return (
    <span class={`gauge ${tone}`} role="meter" aria-label={label} aria-valuenow={Math.round(width)} aria-valuemin={0} aria-valuemax={100}>
      <span style={{ width: `${width}%` }} />
    </span>
  );
}

export function PageHead({ title, children, about }: { title: string; about: string; children?: ComponentChildren }) {
  return (
    <header class="page-head">
      <div><h1>{title}</h1><p>{about}</p></div>
      {children && <div class="page-tools">{children}</div>}
    </header>
  );
}

// A page without anything in it says what would be there and how to make the first one.
export function Empty({ title, children, command }: { title: string; children: ComponentChildren; command?: string }) {
  return (
    <section class="empty">
      <h2>{title}</h2>
      <div>{children}</div>
      {command && <Command text={command} />}
    </section>
  );
}

export function Command({ text }: { text: string }) {
  return (
    <div class="command">
      <code>{text}</code>
      <button class="quiet icon" title="Copy" aria-label="Copy command" onClick={() => navigator.clipboard?.writeText(text)}><Copy /></button>
    </div>
  );
}

interface ConfirmProps {
  label: string;
  sure: string; // what the second press says
  onConfirm: () => Promise<unknown>;
  action?: Action; // whose error stands elsewhere
}

// A button that asks once more in its own place: no dialogue, and no slip of the finger.
export function Confirm({ label, sure, onConfirm, action }: ConfirmProps) {
  const [asking, setAsking] = useState(false);
  const own = useAction();
  const { busy, run } = action ?? own;
  const press = async () => {
    if (!asking) return setAsking(true);
    await run(onConfirm);
    setAsking(false);
  };
  return (
    <>
      <button type="button" class={asking ? 'button danger' : 'button'} disabled={busy} onClick={press} onBlur={() => setAsking(false)}>{asking ? sure : label}</button>
      {!action && <Problem text={own.error} />}
    </>
  );
}

interface FormProps {
  action: Action;
  submit: string;
  onSubmit: () => void;
  onCancel?: () => void;
  children: ComponentChildren;
  label: string;
}

export function Form({ action, submit, onSubmit, onCancel, children, label }: FormProps) {
  return (
    <form class="card form" aria-label={label} onSubmit={(event) => { event.preventDefault(); onSubmit(); }}>
      <div class="fields">{children}</div>
      <Problem text={action.error} />
      <div class="form-end">
        {onCancel && <button type="button" class="button plain" onClick={onCancel}>Never mind</button>}
        <button class="button main" disabled={action.busy}>{action.busy ? 'One moment' : submit}</button>
      </div>
    </form>
  );
}
