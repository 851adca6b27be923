// A tenant's name is for ever; its limits are not.
import { useState } from 'preact/hooks';

import { Caller, ask } from '../api';
import { Form } from '../parts';
import { useAction } from '../poll';
import { Limits, LimitFields, noLimits } from './limit_fields';

export function NewTenant({ caller, onDone, onCancel }: { caller: Caller; onDone: () => void; onCancel: () => void }) {
  const [name, setName] = useState('');
  const [limits, setLimits] = useState<Limits>(noLimits);
  const action = useAction();
  const make = async () => {
    if (await action.run(() => ask(caller, 'v1/organization/projects', { method: 'POST', body: { name, ...limits } }))) onDone();
  };
  return (
    <Form label="New tenant" action={action} submit="Make it" onSubmit={make} onCancel={onCancel}>
      <label class="field">Name, for ever<input required autofocus pattern="[A-Za-z0-9_.\-]+" title="Letters, digits and - _ ." value={name} onInput={(event) => setName(event.currentTarget.value)} /></label>
      <LimitFields limits={limits} onChange={setLimits} />
    </Form>
  );
}
