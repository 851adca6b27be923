// The console: a page for each thing that the server keeps. What a key may not do is not shown.
import { FunctionComponent, JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

import { Coins, Curve, Gauge, Key, Layers, Pulse, Stack } from '../icons';
import { hrefOf } from '../route';
import { Adapters } from './adapters';
import { Batches } from './batches';
import { Deployments } from './deployments';
import { Health } from './health';
import { Jobs } from './jobs';
import { Keys } from './keys';
import { ProjectPicker } from './project_picker';
import { Session, Who, isAdmin, may, useSignIn } from './session';
import { SignInForm } from './sign_in';
import { UsagePage } from './usage';

export interface PageProps {
  session: Session;
  id: string; // what of the page's things is looked at
}

interface Page {
  path: string;
  name: string;
  icon: () => JSX.Element;
  scope: string;
  admin?: boolean;
  view: FunctionComponent<PageProps>;
}

const pages: Page[] = [
  { path: 'deployments', name: 'Deployments', icon: Gauge, scope: '', view: Deployments },
  { path: 'adapters', name: 'Adapters', icon: Layers, scope: 'adapters', view: Adapters },
  { path: 'jobs', name: 'Jobs', icon: Curve, scope: 'fine_tuning', view: Jobs },
  { path: 'batches', name: 'Batches', icon: Stack, scope: 'batches', view: Batches },
  { path: 'keys', name: 'Keys', icon: Key, scope: '', admin: true, view: Keys },
  { path: 'usage', name: 'Usage', icon: Coins, scope: 'usage', view: UsagePage },
  { path: 'health', name: 'Health', icon: Pulse, scope: '', view: Health },
];

export const consolePages = pages.map((page) => page.path);

const shownTo = (who: Who) => pages.filter((page) => may(who, page.scope) && (!page.admin || isAdmin(who)));

interface ConsoleProps {
  route: string[];
  apiKey: string;
  onKey: (key: string) => void;
  theme: string;
  onChat: (model: string) => void;
}

export function Console({ route, apiKey, onKey, theme, onChat }: ConsoleProps) {
  const signIn = useSignIn(apiKey);
  const [project, setProject] = useState('');
  const nav = useRef<HTMLElement>(null);
  // On a telephone the pages stand in a row that may be longer than the screen.
  useEffect(() => nav.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' }), [route[0], signIn.state]);
  if (signIn.state === 'looking') return <main class="door" />;
  if (signIn.state === 'out') {
    return <SignInForm what="API key" problem={signIn.problem} onKey={onKey} hint="It stays in this tab and is gone when you close it." />;
  }
  const { who } = signIn;
  const caller = { key: apiKey, project: isAdmin(who) ? project : '' };
  const session: Session = { who, caller, project, theme, onKey, onChat };
  const open = shownTo(who);
  const page = open.find((each) => each.path === route[0]) ?? open[0];
  return (
    <div class="console">
      <aside class="side">
        <nav aria-label="Console" ref={nav}>
          {open.map(({ path, name, icon: Icon }) => (
            <a href={hrefOf(path)} aria-current={path === page.path ? 'page' : undefined}><Icon /><span>{name}</span></a>
          ))}
        </nav>
        <div class="who">
          {isAdmin(who) && <ProjectPicker session={session} onProject={setProject} />}
          <p>{who.api_key_id === 'open' ? 'No keys yet: whoever comes is an admin.' : <><b>{isAdmin(who) ? 'Admin' : who.project}</b> · {who.api_key_id}</>}</p>
          {apiKey && <button class="button plain" onClick={() => onKey('')}>Sign out</button>}
        </div>
      </aside>
      <main class="page" key={`${page.path} ${project}`}><page.view session={session} id={route[1] ?? ''} /></main>
    </div>
  );
}
