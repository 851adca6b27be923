// One job: why it is where it is, in a sentence and a table, and what can be done about it.
import { useEffect } from 'preact/hooks';

import { Caller, ask } from '../api';
import { duration, moment } from '../format';
import { Command, Pill, Problem } from '../parts';
import { usePoll } from '../poll';
import { JobDetail, JobLine, State, api } from './forge';
import { JobChanges } from './job_changes';
import { SidePanel } from './side_panel';

interface Explanation {
  sentence: string;
  pools: { cluster: string; kind: string; verdict: string; devices: number; free: number; largest: number }[];
}

const savedBy: Record<string, string> = { library: 'the program itself', process: 'its processes as they are', none: 'nobody' };

export function JobPanel({ job, state, caller, onClose, onChange }: { job: JobLine; state: State; caller: Caller; onClose: () => void; onChange: () => void }) {
  const why = usePoll((signal) => ask<Explanation>(caller, `${api}/jobs/${job.id}/explain`, { signal }), 2000, [job.id, job.state]);
  const detail = usePoll((signal) => ask<JobDetail>(caller, `${api}/jobs/${job.id}`, { signal }), 2000, [job.id]);
  useEffect(detail.refresh, [job.state, job.where]);
  const over = ['succeeded', 'failed', 'cancelled'].includes(job.state);
  const changed = () => { onChange(); detail.refresh(); why.refresh(); };
  return (
    <SidePanel title={job.name} onClose={onClose}>
      <p class="row"><Pill state={job.state} /><span class="soft">job {job.id} · {job.type} · {job.tier} · {job.virtual_cluster}</span></p>
      {why.data && <p class="why">{why.data.sentence}</p>}
      <Problem text={why.error} />
      {!over && detail.data && <JobChanges job={job} detail={detail.data} state={state} caller={caller} onChange={changed} />}
      {why.data && why.data.pools.length > 0 && (
        <table>
          <thead><tr><th>Cluster</th><th>Kind</th><th class="n">Free</th><th>Verdict</th></tr></thead>
          <tbody>{why.data.pools.map((pool) => <tr><td>{pool.cluster}</td><td>{pool.kind}</td><td class="n">{pool.free} of {pool.devices}</td><td>{pool.verdict}</td></tr>)}</tbody>
        </table>
      )}
      <dl class="facts-list">
        <div><dt>workers</dt><dd>{job.workers}, of {job.min_workers} to {job.max_workers}</dd></div>
        <div><dt>where</dt><dd>{job.where || 'nowhere'}</dd></div>
        {detail.data?.spec.checkpoint && <div><dt>saved by</dt><dd>{savedBy[detail.data.spec.checkpoint.by]}</dd></div>}
        <div><dt>handed in</dt><dd>{moment(job.submitted_at / 1000)}</dd></div>
        <div><dt>{job.state} for</dt><dd>{duration((state.now - job.changed_at) / 1000)}</dd></div>
        <div><dt>ran in all</dt><dd>{duration(job.ran_ms / 1000)}</dd></div>
        <div><dt>preempted</dt><dd>{job.preemptions} times</dd></div>
        <div><dt>failed</dt><dd>{job.failures} times</dd></div>
      </dl>
      <Command text={`hearth forge logs -f ${job.id}`} />
    </SidePanel>
  );
}
