// One machine: its health, what runs on it, and taking it out or back.
import { Caller, ask } from '../api';
import { Confirm, Pill, Problem } from '../parts';
import { useAction } from '../poll';
import { JobLine, NodeView, api } from './forge';
import { SidePanel } from './side_panel';

interface NodePanelProps {
  node: NodeView;
  jobs: JobLine[];
  caller: Caller;
  onJob: (id: number) => void;
  onClose: () => void;
  onChange: () => void;
}

export function NodePanel({ node, jobs, caller, onJob, onClose, onChange }: NodePanelProps) {
  const action = useAction();
  const ids = [...new Set(node.devices.flatMap((uses) => uses.map((use) => use.job)))];
  const tell = (verb: string) => ask(caller, `${api}/nodes/${encodeURIComponent(node.name)}/${verb}`, { method: 'POST' }).then(onChange);
  const inService = node.state === 'up' || node.state === 'suspect';
  return (
    <SidePanel title={node.name} onClose={onClose}>
      <p class="row"><Pill state={node.state} /><span class="soft">{node.kind} · {node.cluster}, {node.region}</span></p>
      {node.health_why && <p class="why">{node.health_why}</p>}
      <dl class="facts-list">
        <div><dt>health</dt><dd>{node.health}</dd></div>
        <div><dt>trouble of late</dt><dd>{node.lemon.toFixed(2)}</dd></div>
        <div><dt>devices in use</dt><dd>{Number(node.busy.toFixed(2))} of {node.devices.length}</dd></div>
        <div><dt>address</dt><dd>{node.address || '–'}</dd></div>
      </dl>
      <h3>Runs here</h3>
      {ids.length === 0 && <p class="soft">Nothing.</p>}
      <ul class="plain-list">
        {ids.map((id) => <li><button class="link" onClick={() => onJob(id)}>{jobs.find((job) => job.id === id)?.name ?? `job ${id}`}</button></li>)}
      </ul>
      <div class="row">
        {inService
          ? <Confirm label="Drain" sure="Move its jobs away" action={action} onConfirm={() => tell('drain')} />
          : <button class="button main" disabled={action.busy} onClick={() => action.run(() => tell('resume'))}>Resume</button>}
      </div>
      <p class="soft">{inService ? 'Drained, it gives its jobs away, each at its next checkpoint, and gets no new ones.' : 'Resumed, it may take jobs again.'}</p>
      <Problem text={action.error} />
    </SidePanel>
  );
}
