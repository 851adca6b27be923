// The side panel: model, system prompt, sampling knobs, and the request as code.
import { useState } from 'preact/hooks';

import { Model } from './api';
import { Close, Copy } from './icons';
import { Knob, Settings, defaults, knobs, silentValue } from './sampling';
import { Key, Language, languages, snippet } from './snippets';

function KnobRow({ knob, value, initial, onChange }: { knob: Knob; value: number; initial: number; onChange: (value: number) => void }) {
  const changed = value !== initial;
  const id = `knob-${knob.name}`;
  return (
    <div class={changed ? 'knob changed' : 'knob'}>
      <label for={id}>{knob.label}</label>
      <button type="button" class="help" aria-label={`What is ${knob.label}?`}>?<span role="tooltip">{knob.help}</span></button>
      <input
        class="number" type="number" aria-label={`${knob.label} value`} min={knob.min} max={knob.max} step={knob.step} value={value}
        onInput={(event) => { if (event.currentTarget.value !== '') onChange(event.currentTarget.valueAsNumber); }}
      />
      <input
        id={id} type="range" min={knob.min} max={knob.max} step={knob.step} value={value}
        style={{ '--fill': `${(100 * (value - knob.min)) / (knob.max - knob.min)}%` }}
        onInput={(event) => onChange(event.currentTarget.valueAsNumber)}
      />
    </div>
  );
}

function Code({ body, secret }: { body: Record<string, unknown> & { model: string; messages: unknown[] }; secret: Key }) {
  const [language, setLanguage] = useState<Language>('curl');
  const text = snippet(language, location.origin, body, secret);
  return (
    <section>
      <h2>This request as code</h2>
      <div class="tabs" role="tablist">
        {languages.map((name) => (
          <button role="tab" aria-selected={name === language} onClick={() => setLanguage(name)}>{name}</button>
        ))}
        <button class="quiet icon copy" title="Copy" aria-label="Copy code" onClick={() => navigator.clipboard?.writeText(text)}><Copy /></button>
      </div>
      <pre class="snippet" tabIndex={0}>{text}</pre>
    </section>
  );
}

interface PanelProps {
  models: Model[];
  model: string;
  onModel: (id: string) => void;
  apiKey: string;
  onApiKey: (key: string) => void;
  keyNeeded: boolean;
  system: string;
  onSystem: (text: string) => void;
  settings: Settings;
  onSettings: (settings: Settings) => void;
  body: Record<string, unknown> & { model: string; messages: unknown[] };
  onClose: () => void;
}

export function Panel(props: PanelProps) {
  const { settings, onSettings } = props;
  const set = (name: string, value: number) => onSettings({ ...settings, values: { ...settings.values, [name]: value } });
  const model = props.models.find((entry) => entry.id === props.model);
  const initial = (knob: Knob) => defaults.values[knob.name] ?? silentValue(knob, model);
  // Where the knobs stand is the model's to say: none before it is known, or one moves under somebody's hand.
  const groups = model ? [...new Set(knobs.map((knob) => knob.group))] : [];
  return (
    <aside class="panel" aria-label="Settings">
      <button class="quiet icon close" aria-label="Close settings" onClick={props.onClose}><Close /></button>
      <section>
        <label class="field">Model
          <select value={props.model} onChange={(event) => props.onModel(event.currentTarget.value)}>
            {props.models.map((entry) => <option value={entry.id}>{entry.id}</option>)}
          </select>
        </label>
        {(props.keyNeeded || props.apiKey) && (
          <label class="field">API key
            <input type="password" autocomplete="off" value={props.apiKey} onInput={(event) => props.onApiKey(event.currentTarget.value)} />
          </label>
        )}
        <label class="field">System prompt
          <textarea rows={3} value={props.system} placeholder="Who the model is, and how it should answer" onInput={(event) => props.onSystem(event.currentTarget.value)} />
        </label>
      </section>
      {groups.map((group) => (
        <section>
          <h2>{group}</h2>
          {knobs.filter((knob) => knob.group === group).map((knob) => (
            <KnobRow knob={knob} value={settings.values[knob.name] ?? initial(knob)} initial={initial(knob)} onChange={(value) => set(knob.name, value)} />
          ))}
          {group === 'Randomness' && (
            <label class="field">Seed
              <input inputMode="numeric" pattern="[0-9]*" placeholder="random" value={settings.seed} onInput={(event) => onSettings({ ...settings, seed: event.currentTarget.value })} />
            </label>
          )}
          {group === 'Length' && (
            <label class="field">Stop strings, one a line
              <textarea rows={1} value={settings.stop} onInput={(event) => onSettings({ ...settings, stop: event.currentTarget.value })} />
            </label>
          )}
        </section>
      ))}
      <button class="quiet" onClick={() => onSettings(defaults)}>Back to defaults</button>
      <Code body={props.body} secret={props.apiKey ? 'environment' : 'none'} />
    </aside>
  );
}
