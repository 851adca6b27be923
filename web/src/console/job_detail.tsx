// One tuning job: its loss as it falls, what it was told, and what it said.
import { ask, download } from '../api';
import { clock, count, duration, moment } from '../format';
import { Confirm, Pill, Problem } from '../parts';
import { Plot } from '../plot';
import { Action, useAction, usePoll } from '../poll';
import { Session, ownedBy } from './session';
import { Job, TuningEvent, isOver, lossesOf, titleOf } from './tuning';

function Buttons({ job, session, action, onChange }: { job: Job; session: Session; action: Action; onChange: () => void }) {
  const caller = ownedBy(session, job.project_id);
  const move = (verb: string) => ask(caller, `v1/fine_tuning/jobs/${job.id}/${verb}`, { method: 'POST' }).then(onChange);
  const result = job.result_files[0];
  return (
    <div class="row">
      {job.fine_tuned_model && job.project_id === session.who.project && <button class="button main" onClick={() => session.onChat(job.fine_tuned_model!)}>Chat with it</button>}
      {result && <button class="button" onClick={() => action.run(() => download(caller, `v1/files/${result}/content`, `${job.id}.csv`))}>Losses as CSV</button>}
      {['queued', 'running'].includes(job.status) && <button class="button" disabled={action.busy} onClick={() => action.run(() => move('pause'))}>Pause</button>}
      {job.status === 'paused' && <button class="button main" disabled={action.busy} onClick={() => action.run(() => move('resume'))}>Resume</button>}
      {!isOver(job) && <Confirm label="Cancel" sure="Cancel the job" action={action} onConfirm={() => move('cancel')} />}
    </div>
  );
}

const facts = (job: Job): [string, string][] => [
  ['base', job.model],
  ['method', job.method.type],
  ...Object.entries(job.hyperparameters).map(([name, value]): [string, string] => [name.replace(/_/g, ' '), String(value)]),
  ['seed', String(job.seed)],
  ['examples', count(job.progress.examples)],
  ['tokens trained', job.trained_tokens === null ? '–' : count(job.trained_tokens)],
  ['training file', job.training_file],
  ...(job.validation_file ? [['validation file', job.validation_file] as [string, string]] : []),
];

export function JobDetail({ job, session, onChange }: { job: Job; session: Session; onChange: () => void }) {
  const path = `v1/fine_tuning/jobs/${job.id}/events?limit=10000`;
  const events = usePoll((signal) => ask<{ data: TuningEvent[] }>(ownedBy(session, job.project_id), path, { signal }), isOver(job) ? 30_000 : 2000, [job.id, isOver(job)]);
  const action = useAction();
  const all = events.data?.data ?? [];
  const { steps, train, valid } = lossesOf(all);
  const told = all.filter((event) => event.type !== 'metrics').slice(0, 50);
  const left = job.estimated_finish ? `, ${duration(job.estimated_finish - Date.now() / 1000)} left` : '';
  return (
    <section class="detail" aria-label="Job">
      <header class="item-head"><h2>{titleOf(job)}</h2><Pill state={job.status} /></header>
      <p class="soft">{job.id} · begun {moment(job.created_at)}{left}</p>
      <Problem text={job.error?.message ?? ''} />
      <Buttons job={job} session={session} action={action} onChange={() => { onChange(); events.refresh(); }} />
      <Problem text={action.error || events.error} />
      <section class="card">
        <h2>Loss<small>by step</small></h2>
        {steps.length > 0
          ? (
            <Plot
              at={steps} unit="" theme={session.theme} across="steps" height={220} fromZero={false}
              lines={[{ label: 'training', color: '--flame', values: train }, ...(valid.some((v) => v !== null) ? [{ label: 'validation', color: '--sky', values: valid }] : [])]}
            />
          )
          : <p class="soft quiet-note">{isOver(job) ? 'It ended before its first step.' : 'The first step has not been told yet.'}</p>}
      </section>
      <dl class="facts-list">{facts(job).map(([name, value]) => <div><dt>{name}</dt><dd>{value}</dd></div>)}</dl>
      <ol class="log" aria-label="Events">{told.map((event) => <li class={event.level}><time>{clock(event.created_at)}</time>{event.message}</li>)}</ol>
    </section>
  );
}
