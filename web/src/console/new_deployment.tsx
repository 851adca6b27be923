// The first question of a contract is whose; then of which model, in which class, and how much.
import { useState } from 'preact/hooks';

import { Model, ask } from '../api';
import { ptu } from '../format';
import { Form } from '../parts';
import { useAction, usePoll } from '../poll';
import { Session } from './session';

interface NewDeploymentProps {
  session: Session;
  left: number | null; // of the machine; null: not known
  onDone: () => void;
  onCancel: () => void;
}

export function NewDeployment({ session, left, onDone, onCancel }: NewDeploymentProps) {
  const { caller } = session;
  const [name, setName] = useState('');
  const [tenant, setTenant] = useState(session.project || session.who.project);
  const [model, setModel] = useState('');
  const [kind, setKind] = useState('provisioned');
  const [units, setUnits] = useState(left === null ? 1 : Number(Math.max(0.001, Math.min(1, left)).toFixed(3)));
  const models = usePoll((signal) => ask<{ data: Model[] }>(caller, 'v1/models', { signal }), 15_000, []);
  const projects = usePoll((signal) => ask<{ data: { name: string }[] }>({ key: caller.key }, 'v1/organization/projects?limit=100', { signal }), 15_000, []);
  const action = useAction();
  const bought = kind === 'provisioned';
  const tenants = [...new Set([session.who.project, ...(projects.data?.data.map((each) => each.name) ?? [])])];
  const make = async () => {
    const body = { name, tenant, service_class: kind, ...(model ? { model } : {}), ...(bought ? { ptu: units } : {}) };
    if (await action.run(() => ask(caller, 'v1/deployments', { method: 'POST', body }))) onDone();
  };
  return (
    <Form label="New deployment" action={action} submit="Make it" onSubmit={make} onCancel={onCancel}>
      <label class="field">Name<input required autofocus pattern="[A-Za-z0-9._:\-]+" title="Letters, digits and - _ . :" value={name} onInput={(event) => setName(event.currentTarget.value)} /></label>
      <label class="field">Tenant
        <select value={tenant} onChange={(event) => setTenant(event.currentTarget.value)}>{tenants.map((each) => <option value={each}>{each}</option>)}</select>
      </label>
      <label class="field">Model or adapter
        <select value={model} onChange={(event) => setModel(event.currentTarget.value)}>
          {models.data?.data.map(({ id, parent }) => <option value={parent ? id : ''}>{id}</option>)}
          <option value="*">all of the tenant's</option>
        </select>
      </label>
      <label class="field">Class
        <select value={kind} onChange={(event) => setKind(event.currentTarget.value)}>
          <option value="provisioned">provisioned: a rate that holds</option>
          <option value="standard">standard: what provisioned work leaves</option>
          <option value="batch">batch: what is idle</option>
        </select>
      </label>
      {bought && <label class="field">PTU{left !== null && `, ${ptu(left)} left`}<input type="number" min={0.001} step="any" required value={units} onInput={(event) => setUnits(event.currentTarget.valueAsNumber)} /></label>}
    </Form>
  );
}
