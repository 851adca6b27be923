// Resize, move and cancel a job: each says what will happen before it does.
import { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';

import { Caller, ask } from '../api';
import { Problem } from '../parts';
import { Action, useAction } from '../poll';
import { ofCancel, ofMove, ofResize, workersIn } from './changes';
import { JobDetail, JobLine, State, api } from './forge';

interface Changing {
  job: JobLine;
  detail: JobDetail;
  state: State;
  action: Action;
  send: (verb: string, body: object, done: string) => void;
  onBack: () => void;
}

interface ChangeFormProps {
  label: string;
  submit: string;
  danger?: boolean;
  disabled?: boolean;
  foretold: string;
  changing: Changing;
  onSubmit: () => void;
  children?: ComponentChildren;
}

function ChangeForm({ label, submit, danger, disabled, foretold, changing, onSubmit, children }: ChangeFormProps) {
  const { action, onBack } = changing;
  return (
    <form class="change" aria-label={label} onSubmit={(event) => { event.preventDefault(); onSubmit(); }}>
      {children}
      <p class="foretold" aria-live="polite">{foretold}</p>
      <Problem text={action.error} />
      <div class="form-end">
        <button type="button" class="button plain" onClick={onBack}>Never mind</button>
        <button class={danger ? 'button danger' : 'button main'} disabled={action.busy || disabled}>{action.busy ? 'One moment' : submit}</button>
      </div>
    </form>
  );
}

function ResizeForm(changing: Changing) {
  const { job, detail, send } = changing;
  const [low, setLow] = useState(job.min_workers);
  const [high, setHigh] = useState(job.max_workers);
  const field = (label: string, value: number, set: (value: number) => void) => (
    <label class="field">{label}<input type="number" min={1} step={1} required value={value || ''} onInput={(event) => set(Number(event.currentTarget.value))} /></label>
  );
  const sound = Number.isInteger(low) && Number.isInteger(high) && low >= 1 && high >= low;
  return (
    <ChangeForm
      label="Resize" submit="Resize" changing={changing} disabled={!sound} foretold={ofResize(job, detail, low, high)}
      onSubmit={() => send('resize', { min: low, max: high }, `Asked: ${workersIn(low, high)}.`)}
    >
      <div class="pair">{field('Workers at least', low, setLow)}{field('and at most', high, setHigh)}</div>
    </ChangeForm>
  );
}

function MoveForm(changing: Changing) {
  const { job, detail, state, send } = changing;
  const all = state.clusters.map(({ name }) => name);
  const allowed = detail.spec.place.clusters;
  const [chosen, setChosen] = useState(allowed.length > 0 ? allowed : all);
  const toggle = (name: string) => setChosen(all.filter((each) => chosen.includes(each) !== (each === name)));
  const free = (cluster: string) => {
    const nodes = state.nodes.filter((node) => node.cluster === cluster && node.state === 'up');
    return Number(nodes.reduce((sum, node) => sum + node.devices.length - node.busy, 0).toFixed(2));
  };
  const anywhere = chosen.length === all.length;
  return (
    <ChangeForm
      label="Move" submit={anywhere ? 'Let it go anywhere' : 'Move'} changing={changing} disabled={chosen.length === 0} foretold={ofMove(job, detail, state, chosen)}
      onSubmit={() => send('move', { clusters: anywhere ? [] : chosen }, anywhere ? 'Asked: it may run anywhere.' : `Asked: only in ${chosen.join(' or ')}.`)}
    >
      <fieldset class="clusters-of">
        <legend>May run in</legend>
        {state.clusters.map(({ name, region, spot }) => (
          <label class="check" key={name}>
            <input type="checkbox" checked={chosen.includes(name)} onChange={() => toggle(name)} />
            <span>{name}</span><small>{region === name ? '' : `${region} · `}{spot ? 'spot · ' : ''}{free(name)} free</small>
          </label>
        ))}
      </fieldset>
    </ChangeForm>
  );
}

function CancelForm(changing: Changing) {
  const { job, send } = changing;
  return <ChangeForm label="Cancel" submit={`Stop job ${job.id} for good`} danger changing={changing} foretold={ofCancel(job)} onSubmit={() => send('cancel', {}, 'Asked to stop.')} />;
}

const forms = { Resize: ResizeForm, Move: MoveForm, Cancel: CancelForm };
type Verb = keyof typeof forms;

export function JobChanges({ job, detail, state, caller, onChange }: { job: JobLine; detail: JobDetail; state: State; caller: Caller; onChange: () => void }) {
  const [open, setOpen] = useState<Verb | null>(null);
  const [done, setDone] = useState('');
  const action = useAction();
  const show = (verb: Verb | null) => { setOpen(verb); setDone(''); };
  const send = async (verb: string, body: object, said: string) => {
    if (!await action.run(() => ask(caller, `${api}/jobs/${job.id}/${verb}`, { method: 'POST', body }))) return;
    setOpen(null);
    setDone(said);
    onChange();
  };
  const Chosen = open && forms[open];
  return (
    <section class="changes" aria-label="Changes">
      <div class="row" role="group">
        {(Object.keys(forms) as Verb[]).map((verb) => <button key={verb} type="button" class={open === verb ? 'button open' : 'button'} aria-expanded={open === verb} onClick={() => show(open === verb ? null : verb)}>{verb}</button>)}
      </div>
      {Chosen && <Chosen key={open} job={job} detail={detail} state={state} action={action} send={send} onBack={() => show(null)} />}
      {done && <p class="soft" role="status">{done}</p>}
    </section>
  );
}
