// The page: a bar on top, and below it the conversation with its settings, the live charts, or the console.
import { useEffect, useRef, useState } from 'preact/hooks';

import { ApiError, Model, listModels } from './api';
import { Composer } from './composer';
import { Console, consolePages } from './console/console';
import { requestBody, useConversation } from './conversation';
import { Header } from './header';
import { Bars, Chat, Flame, Grid, Plus, Sliders } from './icons';
import { Live, useStats } from './live';
import { Message } from './message';
import { Panel } from './panel';
import { go, useRoute } from './route';
import { defaults, requestFields } from './sampling';
import { useSecret, useStored } from './store';
import { useTheme } from './theme';

type View = 'chat' | 'live' | 'console';

function viewOf(route: string[]): View {
  if (route[0] === 'live') return 'live';
  return consolePages.includes(route[0]) ? 'console' : 'chat';
}

const openings = [
  'Tell me a story about a small fox who is afraid of the dark.',
  'Write a story with the words lantern, river and brave.',
  'Who are you?',
];

// Looked at again whenever the conversation comes into sight: models come and go.
function useModels(key: string, view: View) {
  const [models, setModels] = useState<Model[]>([]);
  const [problem, setProblem] = useState<ApiError | Error | null>(null);
  useEffect(() => {
    listModels(key).then(
      (list) => { setModels(list); setProblem(null); },
      (error) => setProblem(error),
    );
  }, [key, view === 'chat']);
  return { models, problem };
}

function Welcome({ model, onPick }: { model: string; onPick: (text: string) => void }) {
  return (
    <div class="welcome">
      <Flame size={72} />
      <h1>Come in, sit down.</h1>
      <p>{model ? <>You are talking to <b>{model}</b>, on this machine.</> : 'Looking for a model.'}</p>
      <div class="openings">{openings.map((text) => <button onClick={() => onPick(text)}>{text}</button>)}</div>
      <p class="keys"><kbd>Enter</kbd> send <kbd>Shift Enter</kbd> new line <kbd>Esc</kbd> stop <kbd>/</kbd> write</p>
    </div>
  );
}

// Keeps the end of a growing answer in sight, unless the reader has scrolled up.
function useFollow(dependency: unknown) {
  const element = useRef<HTMLElement>(null);
  const follow = useRef(true);
  useEffect(() => {
    const div = element.current;
    if (div && follow.current) div.scrollTop = div.scrollHeight;
  }, [dependency]);
  const onScroll = () => {
    const div = element.current;
    if (div) follow.current = div.scrollHeight - div.scrollTop - div.clientHeight < 60;
  };
  return { element, onScroll };
}

export function App({ version }: { version: string }) {
  const [theme, toggleTheme] = useTheme();
  const route = useRoute();
  const view = viewOf(route);
  const [key, setKey] = useSecret('key');
  const [chosen, setChosen] = useStored('model', '');
  const [system, setSystem] = useStored('system', '');
  const [settings, setSettings] = useStored('settings', defaults);
  const [panel, setPanel] = useState(matchMedia('(min-width: 1000px)').matches);
  const { models, problem } = useModels(key, view);
  const conversation = useConversation();
  const { turns, busy } = conversation;
  const { history, error } = useStats(key);
  const follow = useFollow(turns);

  const model = models.some((entry) => entry.id === chosen) ? chosen : models[0]?.id ?? '';
  const request = { model, key, system, fields: requestFields(settings, models.find((entry) => entry.id === model)) };
  const send = (text: string) => conversation.send(text, request);
  const questions = turns.filter((turn) => turn.role === 'user');
  const keyNeeded = problem instanceof ApiError && problem.status === 401;
  const tools = view === 'chat' && (
    <>
      {turns.length > 0 && <button class="quiet icon" title="New conversation" aria-label="New conversation" onClick={conversation.clear}><Plus /></button>}
      <button class="quiet icon" title="Settings" aria-label="Settings" aria-expanded={panel} onClick={() => setPanel(!panel)}><Sliders /></button>
    </>
  );

  return (
    <div class={panel && view === 'chat' ? 'app with-panel' : 'app'}>
      <Header version={version} theme={theme} onTheme={toggleTheme} tools={tools}>
        <button aria-current={view === 'chat'} onClick={() => go()}><Chat /><span>Chat</span></button>
        <button aria-current={view === 'live'} onClick={() => go('live')}><Bars /><span>Live</span></button>
        <button aria-current={view === 'console'} onClick={() => go('deployments')}><Grid /><span>Console</span></button>
      </Header>
      {view === 'live' && <Live history={history} error={error} theme={theme} />}
      {view === 'console' && <Console route={route} apiKey={key} onKey={setKey} theme={theme} onChat={(id) => { setChosen(id); go(); }} />}
      {view === 'chat' && (
        <main class="chat">
          <section class="turns" ref={follow.element} onScroll={follow.onScroll} aria-live="polite">
            {problem && <p class="error" role="alert">{keyNeeded ? 'This server wants an API key: open the settings.' : `No models: ${problem.message}`}</p>}
            {turns.length === 0 && <Welcome model={model} onPick={send} />}
            {turns.map((turn, index) => (
              <Message key={index} turn={turn} last={index === turns.length - 1} busy={busy} onRetry={() => conversation.retry(request)} />
            ))}
          </section>
          <Composer busy={busy} ready={model !== ''} lastQuestion={questions[questions.length - 1]?.content ?? ''} onSend={send} onStop={conversation.stop} />
        </main>
      )}
      {view === 'chat' && panel && (
        <Panel
          models={models} model={model} onModel={setChosen} apiKey={key} onApiKey={setKey} keyNeeded={keyNeeded}
          system={system} onSystem={setSystem} settings={settings} onSettings={setSettings}
          body={requestBody(turns.length > 0 && turns[turns.length - 1].role === 'assistant' ? turns.slice(0, -1) : [{ role: 'user', content: openings[0] }], request)}
          onClose={() => setPanel(false)}
        />
      )}
    </div>
  );
}
