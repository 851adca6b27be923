// A batch begins with its file of requests.
import { useState } from 'preact/hooks';

import { ask } from '../api';
import { Form } from '../parts';
import { useAction } from '../poll';
import { upload } from './new_job';
import { Session } from './session';

const endpoints = ['/v1/chat/completions', '/v1/completions', '/v1/embeddings', '/v1/responses'];

export function NewBatch({ session, onDone, onCancel }: { session: Session; onDone: () => void; onCancel: () => void }) {
  const [requests, setRequests] = useState<File | null>(null);
  const [endpoint, setEndpoint] = useState(endpoints[0]);
  const action = useAction();
  const start = () => action.run(async () => {
    const input_file_id = await upload(session.caller, requests!, 'batch');
    await ask(session.caller, 'v1/batches', { method: 'POST', body: { input_file_id, endpoint, completion_window: '24h' } });
    onDone();
  });
  return (
    <Form label="New batch" action={action} submit="Start" onSubmit={start} onCancel={onCancel}>
      <label class="field">Requests (.jsonl)<input type="file" required accept=".jsonl" onChange={(event) => setRequests(event.currentTarget.files?.[0] ?? null)} /></label>
      <label class="field">Endpoint
        <select value={endpoint} onChange={(event) => setEndpoint(event.currentTarget.value)}>{endpoints.map((each) => <option>{each}</option>)}</select>
      </label>
    </Form>
  );
}
