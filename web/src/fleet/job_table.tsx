import { duration } from '../format';
import { Command, Pill } from '../parts';
import { JobLine } from './forge';

const shown = 60;

export function JobTable({ jobs, now, color, chosen, onJob }: { jobs: JobLine[]; now: number; color: Map<string, string>; chosen: number; onJob: (id: number) => void }) {
  const live = (job: JobLine) => !['succeeded', 'failed', 'cancelled'].includes(job.state);
  const sorted = [...jobs].sort((a, b) => Number(live(b)) - Number(live(a)) || b.id - a.id).slice(0, shown);
  return (
    <section class="table-of">
      <h2>Jobs<small>a click explains one</small></h2>
      {jobs.length === 0 && (
        <div class="empty small">
          <p>No job came yet. Write what to run into a file, <code>command = ["hearth", "train", "config.toml"]</code> is enough, and hand it in:</p>
          <Command text="hearth forge submit job.toml" />
        </div>
      )}
      {jobs.length > 0 && (
        <table>
          <thead><tr><th class="n">Job</th><th>Name</th><th>State</th><th>Tier</th><th>Cluster</th><th class="n">Workers</th><th>Where</th><th class="n">Since</th></tr></thead>
          <tbody>
            {sorted.map((job) => (
              <tr key={job.id} class={job.id === chosen ? 'chosen' : ''} onClick={() => onJob(job.id)}>
                <td class="n">{job.id}</td>
                <td class="name"><button class="link" onClick={() => onJob(job.id)}>{job.name}</button></td>
                <td><Pill state={job.state} />{job.state === 'queued' && job.reason !== 'new' && <small class="soft"> {job.reason}</small>}</td>
                <td>{job.tier}</td>
                <td><i class="chip" style={{ '--mark': `var(${color.get(job.virtual_cluster)})` }} />{job.virtual_cluster}</td>
                <td class="n">{job.workers}/{job.max_workers}</td>
                <td>{job.where || '–'}</td>
                <td class="n">{duration((now - job.changed_at) / 1000)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}
