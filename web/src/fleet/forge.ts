// The scheduler's answers, and a page's worth of them, kept fresh.
import { useEffect, useState } from 'preact/hooks';

import { Caller, ask, follow } from '../api';
import { usePoll } from '../poll';
import { hue } from '../theme';

export interface NodeView {
  name: string;
  cluster: string;
  region: string;
  kind: string;
  state: string; // expected, up, draining, lost, or what health says
  address: string;
  health: string;
  health_why: string;
  lemon: number;
  busy: number;
  devices: { job: number; share: number }[][];
}

export interface VirtualCluster {
  name: string;
  guarantee: number;
  used: number;
}

export interface State {
  now: number;
  policy: string;
  regions: { name: string; carbon_g_per_kwh: number }[];
  clusters: { name: string; region: string; spot: boolean }[];
  virtual_clusters: VirtualCluster[];
  totals: { devices: number; busy: number; running: number; waiting: number; jobs: number };
  nodes: NodeView[];
}

export interface JobLine {
  id: number;
  name: string;
  virtual_cluster: string;
  type: string;
  tier: string;
  state: string;
  reason: string;
  workers: number;
  min_workers: number;
  max_workers: number;
  where: string;
  submitted_at: number;
  changed_at: number;
  ran_ms: number;
  preemptions: number;
  failures: number;
}

// One job with what its owner asked for.
export interface JobDetail {
  spec: {
    place: { clusters: string[] };
    stop?: { grace_s: number };
    checkpoint?: { by: string };
  };
  placed: { node: string }[];
}

export interface Span {
  job: number;
  name: string;
  virtual_cluster: string;
  tier: string;
  node: string;
  devices: number[];
  from: number;
  until: number | null;
  outcome: string | null;
}

export interface Timeline {
  now: number;
  spans: Span[];
  samples: { at: number; devices: number; busy: number; running: number; waiting: number; virtual_clusters: Record<string, number> }[];
}

export interface Note {
  number: number;
  at: number; // ms
  kind: string;
  text: string;
  job?: number;
  node?: string;
}

export const api = 'v1/forge';

// Nodes by name, in the order of people: n2 before n10.
async function stateOf(caller: Caller, signal: AbortSignal): Promise<State> {
  const state = await ask<State>(caller, `${api}/state`, { signal });
  const byName = new Intl.Collator('en', { numeric: true });
  return { ...state, nodes: [...state.nodes].sort((a, b) => byName.compare(a.name, b.name)) };
}

export const useFleet = (caller: Caller) => usePoll((signal) => stateOf(caller, signal), 1000, [caller.key]);

export const useJobs = (caller: Caller) => usePoll((signal) => ask<{ now: number; jobs: JobLine[] }>(caller, `${api}/jobs?state=all&limit=200`, { signal }), 1000, [caller.key]);

// What ran in the last so many minutes, as seen on the server's clock.
export function useTimeline(caller: Caller, minutes: number) {
  return usePoll((signal) => ask<Timeline>(caller, `${api}/timeline?from=${Date.now() - minutes * 60_000}`, { signal }), 2000, [caller.key, minutes]);
}

const notesKept = 200;

// The newest first; those to come are added as they happen.
export function useNotes(caller: Caller): Note[] {
  const [notes, setNotes] = useState<Note[]>([]);
  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    let last = -1;
    const take = (more: Note[]) => {
      last = Math.max(last, ...more.map((note) => note.number));
      setNotes((old) => [...[...more].reverse(), ...old].slice(0, notesKept));
    };
    (async () => {
      while (!signal.aborted) {
        try {
          if (last < 0) take((await ask<{ events: Note[] }>(caller, `${api}/events?limit=100`, { signal })).events);
          for await (const note of follow<Note>(caller, `${api}/events?follow=1&after=${last}`, signal)) take([note]);
        } catch {
          // The rest of the page says that the server is away.
        }
        await new Promise((resolve) => setTimeout(resolve, 2000));
      }
    })();
    return () => controller.abort();
  }, [caller.key]);
  return notes;
}

// The colour of each virtual cluster, the same in every picture.
export const colorsOf = (state: State) => new Map(state.virtual_clusters.map(({ name }, index) => [name, hue(index)]));
