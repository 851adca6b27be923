// Fine-tuning: jobs that make adapters, one looked at closely.
import { useState } from 'preact/hooks';

import { ask } from '../api';
import { ago } from '../format';
import { Empty, Meter, PageHead, Pill, Problem } from '../parts';
import { usePoll } from '../poll';
import { go, hrefOf } from '../route';
import type { PageProps } from './console';
import { JobDetail } from './job_detail';
import { NewJob } from './new_job';
import { isAdmin, ofProject } from './session';
import { Job, titleOf } from './tuning';

export function Jobs({ session, id }: PageProps) {
  const { data, error, refresh } = usePoll((signal) => ask<{ data: Job[] }>(session.caller, `v1/fine_tuning/jobs?limit=100&${ofProject(session)}`, { signal }), 2000, [session.caller.key, session.project]);
  const [making, setMaking] = useState(false);
  if (!data) return <Problem text={error} />;
  const jobs = data.data;
  const chosen = jobs.find((job) => job.id === id);
  const made = (job: Job) => { setMaking(false); refresh(); go('jobs', job.id); };
  return (
    <>
      <PageHead title="Jobs" about="Fine-tuning on your own examples. The result answers the moment its job ends.">
        {!making && <button class="button main" onClick={() => setMaking(true)}>New job</button>}
      </PageHead>
      <Problem text={error} />
      {making && <NewJob session={session} onDone={made} onCancel={() => setMaking(false)} />}
      {jobs.length > 0 && (
        <div class={chosen ? 'split' : ''}>
          <ul class="list">
            {jobs.map((job) => {
              const { step, total_steps } = job.progress;
              return (
                <li key={job.id}>
                  <a class="card item" href={hrefOf('jobs', job.id)} aria-current={job.id === id ? 'true' : undefined}>
                    <span class="item-head"><b>{titleOf(job)}</b><Pill state={job.status} /></span>
                    <Meter share={total_steps > 0 ? step / total_steps : 0} label={`Steps of ${job.id}`} tone={job.status === 'failed' ? 'bad' : ''} />
                    <span class="soft">{isAdmin(session.who) ? `${job.project_id} · ` : ''}{job.method.type} on {job.model} · {total_steps > 0 ? `${step} of ${total_steps} steps · ` : ''}{ago(job.created_at)}</span>
                  </a>
                </li>
              );
            })}
          </ul>
          {chosen && <JobDetail key={chosen.id} job={chosen} session={session} onChange={refresh} />}
        </div>
      )}
      {jobs.length === 0 && !making && (
        <Empty title="No jobs yet">
          <p>A job turns a file of examples into an adapter of your own. Each line of the file is one conversation:</p>
          <pre class="snippet">{'{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ahoy, captain!"}]}'}</pre>
          <p>Fifty good ones change how a model speaks. <button class="link" onClick={() => setMaking(true)}>Start a job with such a file.</button></p>
        </Empty>
      )}
    </>
  );
}
