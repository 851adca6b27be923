// A job begins with a file of examples: it is uploaded, then trained on.
import { useState } from 'preact/hooks';

import { Caller, Model, ask } from '../api';
import { Form } from '../parts';
import { useAction, usePoll } from '../poll';
import { Session } from './session';
import { Job } from './tuning';

interface NewJobProps {
  session: Session;
  onDone: (job: Job) => void;
  onCancel: () => void;
}

export async function upload(caller: Caller, file: File, purpose: string): Promise<string> {
  const form = new FormData();
  form.set('purpose', purpose);
  form.set('file', file);
  return (await ask<{ id: string }>(caller, 'v1/files', { method: 'POST', body: form })).id;
}

export function NewJob({ session, onDone, onCancel }: NewJobProps) {
  const { caller } = session;
  const [examples, setExamples] = useState<File | null>(null);
  const [checks, setChecks] = useState<File | null>(null);
  const [method, setMethod] = useState('supervised');
  const [suffix, setSuffix] = useState('');
  const [epochs, setEpochs] = useState('');
  const models = usePoll((signal) => ask<{ data: Model[] }>(caller, 'v1/models', { signal }), 60_000, []);
  const base = models.data?.data.find((model) => !model.parent)?.id ?? '';
  const action = useAction();
  const start = () => action.run(async () => {
    const training_file = await upload(caller, examples!, 'fine-tune');
    const validation = checks ? { validation_file: await upload(caller, checks, 'fine-tune') } : {};
    const hyperparameters = epochs ? { n_epochs: Number(epochs) } : {};
    const body = { model: base, training_file, ...validation, ...(suffix ? { suffix } : {}), method: { type: method, [method]: { hyperparameters } } };
    onDone(await ask<Job>(caller, 'v1/fine_tuning/jobs', { method: 'POST', body }));
  });
  return (
    <Form label="New job" action={action} submit="Start" onSubmit={start} onCancel={onCancel}>
      <label class="field">Examples (.jsonl)<input type="file" required accept=".jsonl" onChange={(event) => setExamples(event.currentTarget.files?.[0] ?? null)} /></label>
      <label class="field">Held out to check, if any<input type="file" accept=".jsonl" onChange={(event) => setChecks(event.currentTarget.files?.[0] ?? null)} /></label>
      <label class="field">Method
        <select value={method} onChange={(event) => setMethod(event.currentTarget.value)}>
          <option value="supervised">supervised: say it like this</option>
          <option value="dpo">dpo: this rather than that</option>
        </select>
      </label>
      <label class="field">Name of the result<input placeholder="pirate" pattern="[A-Za-z0-9_.\-]*" title="Letters, digits and - _ ." value={suffix} onInput={(event) => setSuffix(event.currentTarget.value)} /></label>
      <label class="field">Passes over the file<input type="number" min={1} max={50} placeholder="3" value={epochs} onInput={(event) => setEpochs(event.currentTarget.value)} /></label>
    </Form>
  );
}
