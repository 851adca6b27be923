// A key with a name, what it may do, and how long.
import { useState } from 'preact/hooks';

import { Caller, ask } from '../api';
import { Form } from '../parts';
import { useAction } from '../poll';
import type { KeyKind } from './key_table';

const scopes = ['inference', 'files', 'batches', 'fine_tuning', 'adapters', 'usage'];
const lives: [string, number][] = [['for ever', 0], ['a day', 1], ['30 days', 30], ['90 days', 90], ['a year', 365]];

interface NewKeyProps {
  caller: Caller;
  path: string;
  kind: KeyKind;
  onDone: (secret: string) => void;
  onCancel: () => void;
}

export function NewKey({ caller, path, kind, onDone, onCancel }: NewKeyProps) {
  const [name, setName] = useState('');
  const [days, setDays] = useState(kind === 'admin' ? 0 : 90);
  const [chosen, setChosen] = useState<string[]>([]);
  const action = useAction();
  const toggle = (scope: string) => setChosen(chosen.includes(scope) ? chosen.filter((each) => each !== scope) : [...chosen, scope]);
  const make = () => action.run(async () => {
    const body = { name, scopes: chosen, ...(days > 0 ? { expires_in: days * 86_400 } : {}) };
    onDone((await ask<{ value: string }>(caller, path, { method: 'POST', body })).value);
  });
  return (
    <Form label="New key" action={action} submit="Make the key" onSubmit={make} onCancel={onCancel}>
      <label class="field">Name<input autofocus required placeholder="what uses it" value={name} onInput={(event) => setName(event.currentTarget.value)} /></label>
      <label class="field">Good for
        <select value={days} onChange={(event) => setDays(Number(event.currentTarget.value))}>{lives.map(([words, each]) => <option value={each}>{words}</option>)}</select>
      </label>
      {kind === 'tenant' && (
        <fieldset class="field">
          <legend>May {chosen.length === 0 && <span class="soft">(everything, unless you choose)</span>}</legend>
          {scopes.map((scope) => <label class="check"><input type="checkbox" checked={chosen.includes(scope)} onChange={() => toggle(scope)} />{scope.replace('_', '-')}</label>)}
        </fieldset>
      )}
    </Form>
  );
}
