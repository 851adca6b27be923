// What will happen to a job when it is changed, in words, before anybody presses anything.
import { JobDetail, JobLine, State } from './forge';

const counted = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`;

export const workersIn = (low: number, high: number) => (low === high ? counted(low, 'worker') : `${low} to ${high} workers`);

// How it leaves its devices, by how its work outlives its workers.
function leaves(detail: JobDetail): string {
  const by = detail.spec.checkpoint?.by ?? 'library';
  if (by === 'process') return 'Its processes are written down as they are';
  if (by === 'none') return 'It saves nothing, so it is stopped and begins again';
  const grace = detail.spec.stop?.grace_s ?? 0;
  return `It is asked to save itself and gets ${counted(grace, 'second')} for that`;
}

const runs = (job: JobLine) => job.workers > 0 && (job.state === 'running' || job.state === 'starting');

export function ofResize(job: JobLine, detail: JobDetail, low: number, high: number): string {
  if (!Number.isInteger(low) || !Number.isInteger(high) || low < 1) return 'It needs at least one worker.';
  if (high < low) return 'The most it may take is less than the least it needs.';
  const range = workersIn(low, high);
  if (!runs(job)) return `It waits. From its next start on it runs with ${range}.`;
  if (job.workers > high) return `${leaves(detail)}, gives ${counted(job.workers - high, 'device')} back and goes on with ${high}.`;
  if (job.workers < low) return `${leaves(detail)} and goes on with ${range} as soon as they are free; until then it waits.`;
  if (high > job.workers) return `It goes on with its ${job.workers}. Where devices are idle it may grow up to ${high}.`;
  return `It goes on as it is, with ${counted(job.workers, 'worker')}.`;
}

// The clusters in which it runs now.
export function clustersOf(state: State, detail: JobDetail): string[] {
  const names = new Set(detail.placed.map(({ node }) => node));
  return [...new Set(state.nodes.filter((node) => names.has(node.name)).map((node) => node.cluster))];
}

export function ofMove(job: JobLine, detail: JobDetail, state: State, chosen: string[]): string {
  const anywhere = chosen.length === state.clusters.length;
  if (chosen.length === 0) return 'Choose one cluster at least.';
  const there = anywhere ? 'any cluster' : chosen.join(' or ');
  if (!runs(job)) return `It waits. From now on it may start in ${there}${anywhere ? '' : ' only'}.`;
  const now = clustersOf(state, detail);
  if (now.every((name) => chosen.includes(name))) return `It stays where it is, in ${now.join(' and ')}${anywhere ? ', and may go to any cluster' : `, and from now on may go to ${there} only`}.`;
  return `${leaves(detail)}, leaves ${now.join(' and ')}, and goes on in ${there} as soon as ${counted(job.workers, 'device')} ${job.workers === 1 ? 'is' : 'are'} free there; until then it waits.`;
}

export function ofCancel(job: JobLine): string {
  return runs(job) ? 'Its workers are killed at once, and nothing of it starts again. What it has saved stays on its disk.' : 'It leaves the queue, and nothing of it starts again.';
}
