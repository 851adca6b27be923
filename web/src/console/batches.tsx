// Work that has a day: done while nobody waits for an answer.
import { useState } from 'preact/hooks';

import { ask } from '../api';
import { Command, Empty, PageHead, Problem } from '../parts';
import { usePoll } from '../poll';
import { BatchCard } from './batch_card';
import type { PageProps } from './console';
import { NewBatch } from './new_batch';
import { ofProject } from './session';

export interface Batch {
  id: string;
  endpoint: string;
  status: string;
  input_file_id: string;
  output_file_id: string | null;
  error_file_id: string | null;
  errors: { data: { line: number | null; message: string }[] } | null;
  created_at: number;
  completed_at: number | null;
  expires_at: number | null;
  request_counts: { total: number; completed: number; failed: number };
  usage: { input_tokens: number; output_tokens: number };
  project_id: string;
}

export function Batches({ session }: PageProps) {
  const { data, error, refresh } = usePoll((signal) => ask<{ data: Batch[] }>(session.caller, `v1/batches?limit=100&${ofProject(session)}`, { signal }), 1500, [session.caller.key, session.project]);
  const [making, setMaking] = useState(false);
  if (!data) return <Problem text={error} />;
  const made = () => { setMaking(false); refresh(); };
  return (
    <>
      <PageHead title="Batches" about="Files of requests that may take a day. They run while nobody is waiting, and never slow anybody down.">
        {!making && <button class="button main" onClick={() => setMaking(true)}>New batch</button>}
      </PageHead>
      <Problem text={error} />
      {making && <NewBatch session={session} onDone={made} onCancel={() => setMaking(false)} />}
      <div class="list">{data.data.map((batch) => <BatchCard key={batch.id} batch={batch} session={session} onChange={refresh} />)}</div>
      {data.data.length === 0 && !making && (
        <Empty title="No batches yet">
          <p>A batch is a file with one request a line:</p>
          <pre class="snippet">{'{"custom_id": "1", "method": "POST", "url": "/v1/chat/completions",\n "body": {"messages": [{"role": "user", "content": "Hello"}]}}'}</pre>
          <p>Its answers come back as a file in the same form. <button class="link" onClick={() => setMaking(true)}>Upload one</button>, or from a terminal:</p>
          <Command text={`curl ${location.origin}/v1/files -F purpose=batch -F file=@requests.jsonl`} />
        </Empty>
      )}
    </>
  );
}
