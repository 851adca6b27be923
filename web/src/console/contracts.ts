// Deployments as the API tells them, and what they did of late.
import { useRef } from 'preact/hooks';

import { ask } from '../api';
import { Polled, usePoll } from '../poll';
import { Session } from './session';

export interface DeploymentStatus {
  utilization: number; // of its bucket: from 1 on, work is refused
  used_ptu: number;
  prompt_tokens_per_minute: number;
  generated_tokens_per_minute: number;
  time_per_token_ms: number;
  running: number;
  waiting: number;
  requests: number;
  refused: number;
  spilled: number;
  prompt_tokens: number;
  generated_tokens: number;
  token_gaps: number;
  token_seconds: number;
  ptu_minutes: number;
}

export interface Deployment {
  id: string;
  name: string;
  tenant: string;
  model: string;
  service_class: 'provisioned' | 'standard' | 'batch';
  ptu: number;
  spillover: 'refuse' | 'standard';
  status: DeploymentStatus;
}

export interface Capacity {
  ptu: number | null;
  sold: number;
  left: number | null;
  source: 'calibrated' | 'learned' | 'unknown';
}

// What one did in the seconds before a moment.
export interface Rates {
  prompt: number; // tokens a minute
  generated: number;
  perToken: number | null; // ms
  delivered: number; // PTU
  bought: number | null;
}

export interface Contracts {
  all: Deployment[];
  capacity: Capacity | null; // an admin's to know
  at: number[];
  rates: Map<string, (Rates | null)[]>; // by id, one for each moment
}

const historySeconds = 180;
const windowSeconds = 8;

interface Sample {
  at: number;
  all: Map<string, Deployment>;
}

function ratesBetween(then: Deployment, now: Deployment, seconds: number): Rates {
  const grown = (key: 'prompt_tokens' | 'generated_tokens' | 'token_gaps' | 'token_seconds' | 'ptu_minutes') => now.status[key] - then.status[key];
  const minutes = seconds / 60;
  const gaps = grown('token_gaps');
  return {
    prompt: grown('prompt_tokens') / minutes,
    generated: grown('generated_tokens') / minutes,
    perToken: gaps > 0 ? (grown('token_seconds') / gaps) * 1000 : null,
    delivered: Math.max(0, grown('ptu_minutes') / minutes),
    bought: now.service_class === 'provisioned' ? now.ptu : null,
  };
}

// Against the oldest sample of the window; nothing, where there is none yet.
function ratesAt(samples: Sample[], index: number, id: string): Rates | null {
  const now = samples[index].all.get(id);
  let from = index;
  while (from > 0 && samples[index].at - samples[from - 1].at <= windowSeconds && samples[from - 1].all.has(id)) --from;
  const seconds = samples[index].at - samples[from].at;
  return now && seconds > 0 ? ratesBetween(samples[from].all.get(id)!, now, seconds) : null;
}

export function useContracts(session: Session): Polled<Contracts> {
  const { caller, project } = session;
  const samples = useRef<Sample[]>([]);
  const rates = useRef(new Map<string, (Rates | null)[]>());
  return usePoll(async (signal) => {
    const answer = await ask<{ data: Deployment[]; capacity?: Capacity }>({ key: caller.key }, 'v1/deployments', { signal });
    const all = answer.data.filter((one) => project === '' || one.tenant === project);
    const kept = [...samples.current.slice(-historySeconds), { at: Date.now() / 1000, all: new Map(all.map((one) => [one.id, one])) }];
    samples.current = kept;
    rates.current = new Map(all.map(({ id }) => {
      const old = (rates.current.get(id) ?? []).slice(-(kept.length - 1));
      const missing = Array<null>(Math.max(0, kept.length - 1 - old.length)).fill(null);
      return [id, [...missing, ...old, ratesAt(kept, kept.length - 1, id)]];
    }));
    return { all, capacity: answer.capacity ?? null, at: kept.map(({ at }) => at), rates: rates.current };
  }, 1000, [caller.key, project]);
}
