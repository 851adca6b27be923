// The fleet of a Forge server: machines, jobs, promises and what happened, as they are now.
import { useEffect, useState } from 'preact/hooks';

import { Caller } from '../api';
import { SignInForm } from '../console/sign_in';
import { Header } from '../header';
import { Problem } from '../parts';
import { useSecret } from '../store';
import { useTheme } from '../theme';
import { EventList } from './event_list';
import { FleetFigures } from './fleet_figures';
import { colorsOf, useFleet, useJobs, useNotes, useTimeline } from './forge';
import { HeatMap } from './heat_map';
import { JobPanel } from './job_panel';
import { JobTable } from './job_table';
import { NodePanel } from './node_panel';
import { NoNodes } from './no_nodes';
import { TimelineCard } from './timeline';
import { UseOverTime } from './use_over_time';

// The address may bring the token behind '#', which no server sees; it is taken out of sight at once.
function tokenOfAddress(): string {
  const token = /^#token=(\w+)$/.exec(location.hash)?.[1] ?? '';
  if (token) history.replaceState(null, '', location.pathname);
  return token;
}

export type Chosen = { job: number } | { node: string } | null;

function Signed({ caller, theme, onOut }: { caller: Caller; theme: string; onOut: (problem: string) => void }) {
  const [minutes, setMinutes] = useState(10);
  const [chosen, setChosen] = useState<Chosen>(null);
  const state = useFleet(caller);
  const jobs = useJobs(caller);
  const timeline = useTimeline(caller, minutes);
  const notes = useNotes(caller);
  useEffect(() => { if (state.status === 401) onOut('The server does not take this token.'); }, [state.status]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => { if (event.key === 'Escape') setChosen(null); };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
  if (!state.data) return <main class="fleet"><Problem text={state.error} /></main>;
  const fleet = state.data;
  const color = colorsOf(fleet);
  const all = jobs.data?.jobs ?? [];
  const node = chosen && 'node' in chosen ? fleet.nodes.find((each) => each.name === chosen.node) : undefined;
  const job = chosen && 'job' in chosen ? all.find((each) => each.id === chosen.job) : undefined;
  const close = () => setChosen(null);
  const onJob = (id: number) => setChosen({ job: id });
  return (
    <main class={node || job ? 'fleet with-detail' : 'fleet'}>
      <div class="fleet-body">
        <Problem text={state.error && `The server does not answer: ${state.error}`} />
        <FleetFigures state={fleet} />
        {fleet.nodes.length === 0
          ? <NoNodes />
          : <HeatMap state={fleet} jobs={all} color={color} chosen={chosen} onNode={(name) => setChosen({ node: name })} />}
        <TimelineCard timeline={timeline.data} state={fleet} color={color} minutes={minutes} onMinutes={setMinutes} chosen={job?.id ?? -1} onJob={onJob} />
        {timeline.data && <UseOverTime timeline={timeline.data} state={fleet} color={color} theme={theme} minutes={minutes} />}
        <div class="halves wide-first">
          <JobTable jobs={all} now={fleet.now} color={color} chosen={job?.id ?? -1} onJob={onJob} />
          <EventList notes={notes} onJob={onJob} onNode={(name) => setChosen({ node: name })} />
        </div>
      </div>
      {node && <NodePanel key={node.name} node={node} jobs={all} caller={caller} onJob={onJob} onClose={close} onChange={state.refresh} />}
      {job && <JobPanel key={job.id} job={job} state={fleet} caller={caller} onClose={close} onChange={() => { jobs.refresh(); state.refresh(); }} />}
    </main>
  );
}

export function Fleet({ version }: { version: string }) {
  const [theme, toggleTheme] = useTheme();
  const [given] = useState(tokenOfAddress);
  const [kept, setKept] = useSecret('forge');
  const [problem, setProblem] = useState('');
  useEffect(() => { if (given) setKept(given); }, []);
  const token = kept || given;
  const out = (text: string) => { setProblem(text); setKept(''); };
  return (
    <div class="app">
      <Header name="Forge" version={version} theme={theme} onTheme={toggleTheme} tools={token && <button class="quiet" onClick={() => out('')}>Sign out</button>} />
      {token
        ? <Signed caller={{ key: token }} theme={theme} onOut={out} />
        : <SignInForm what="Token" problem={problem} onKey={(key) => { setProblem(''); setKept(key); }} hint="It is in the file forge.token in the server's folder. It stays in this tab, and whoever has it may run commands on the nodes." />}
    </div>
  );
}
