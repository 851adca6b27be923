// The page: a bar on top, the conversation or the live charts in the middle, the settings at the side.
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';

import { ApiError, Model, listModels, serverVersion } from './api';
import { Composer } from './composer';
import { requestBody, useConversation } from './conversation';
import { Bars, Chat, Flame, Moon, Plus, Sliders, Sun } from './icons';
import { Live, useStats } from './live';
import { Message } from './message';
import { Panel } from './panel';
import { defaults, requestFields } from './sampling';
import { useStored } from './store';

type Theme = 'dark' | 'light';
type View = 'chat' | 'live';

const openings = [
  'Tell me a story about a small fox who is afraid of the dark.',
  'Write a story with the words lantern, river and brave.',
  'Who are you?',
];

function useModels(key: string) {
  const [models, setModels] = useState<Model[]>([]);
  const [problem, setProblem] = useState<ApiError | Error | null>(null);
  useEffect(() => {
    listModels(key).then(
      (list) => { setModels(list); setProblem(null); },
      (error) => setProblem(error),
    );
  }, [key]);
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

export function App() {
  const systemTheme: Theme = matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark';
  const [theme, setTheme] = useStored<Theme>('theme', systemTheme);
  const [view, setView] = useState<View>('chat');
  const [key, setKey] = useStored('key', '');
  const [chosen, setChosen] = useStored('model', '');
  const [system, setSystem] = useStored('system', '');
  const [settings, setSettings] = useStored('settings', defaults);
  const [panel, setPanel] = useState(matchMedia('(min-width: 1000px)').matches);
  const [version, setVersion] = useState('');
  const { models, problem } = useModels(key);
  const conversation = useConversation();
  const { turns, busy } = conversation;
  const { history, error } = useStats(key);
  const follow = useFollow(turns);

  // Before the effects of children, which read the colours of the theme.
  useLayoutEffect(() => { document.documentElement.dataset.theme = theme; }, [theme]);
  useEffect(() => { serverVersion().then(setVersion, () => setVersion('')); }, []);

  const model = models.some((entry) => entry.id === chosen) ? chosen : models[0]?.id ?? '';
  const request = { model, key, system, fields: requestFields(settings, models.find((entry) => entry.id === model)) };
  const send = (text: string) => conversation.send(text, request);
  const questions = turns.filter((turn) => turn.role === 'user');
  const keyNeeded = problem instanceof ApiError && problem.status === 401;

  return (
    <div class={panel && view === 'chat' ? 'app with-panel' : 'app'}>
      <header class="bar">
        <a class="brand" href="." aria-label="Hearth"><Flame size={26} /><span>Hearth</span><small>{version}</small></a>
        <nav>
          <button aria-current={view === 'chat'} onClick={() => setView('chat')}><Chat /><span>Chat</span></button>
          <button aria-current={view === 'live'} onClick={() => setView('live')}><Bars /><span>Live</span></button>
        </nav>
        <div class="tools">
          {turns.length > 0 && view === 'chat' && <button class="quiet icon" title="New conversation" aria-label="New conversation" onClick={conversation.clear}><Plus /></button>}
          <button class="quiet icon" title="Dark or light" aria-label="Dark or light" onClick={() => setTheme(theme === 'dark' ? 'light' : 'dark')}>{theme === 'dark' ? <Sun /> : <Moon />}</button>
          {view === 'chat' && <button class="quiet icon" title="Settings" aria-label="Settings" aria-expanded={panel} onClick={() => setPanel(!panel)}><Sliders /></button>}
        </div>
      </header>
      {view === 'live' ? <Live history={history} error={error} theme={theme} /> : (
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
