// An adapter comes as PEFT's two files, or out of the folder that the server watches.
import { useState } from 'preact/hooks';

import { ask } from '../api';
import { Form } from '../parts';
import { useAction } from '../poll';
import { Session } from './session';

interface AddAdapterProps {
  session: Session;
  onDone: () => void;
  onCancel: () => void;
}

export function AddAdapter({ session, onDone, onCancel }: AddAdapterProps) {
  const [from, setFrom] = useState<'upload' | 'folder'>('upload');
  const [name, setName] = useState('');
  const [folder, setFolder] = useState('');
  const [config, setConfig] = useState<File | null>(null);
  const [weights, setWeights] = useState<File | null>(null);
  const action = useAction();
  const upload = () => {
    const form = new FormData();
    form.set('name', name);
    form.set('config', config!);
    form.set('weights', weights!);
    return ask(session.caller, 'v1/adapters', { method: 'POST', body: form });
  };
  const load = () => ask(session.caller, 'v1/load_lora_adapter', { method: 'POST', body: { lora_name: name, lora_path: folder } });
  const add = async () => { if (await action.run(from === 'upload' ? upload : load)) onDone(); };
  return (
    <Form label="Add adapter" action={action} submit={from === 'upload' ? 'Upload' : 'Load'} onSubmit={add} onCancel={onCancel}>
      <label class="field">From
        <select value={from} onChange={(event) => setFrom(event.currentTarget.value as 'upload' | 'folder')}>
          <option value="upload">files on this computer</option>
          <option value="folder">a folder of the server (--lora-dir)</option>
        </select>
      </label>
      <label class="field">Name<input required autofocus value={name} placeholder="how requests will call it" onInput={(event) => setName(event.currentTarget.value)} /></label>
      {from === 'upload' ? (
        <>
          <label class="field">adapter_config.json<input type="file" required accept=".json" onChange={(event) => setConfig(event.currentTarget.files?.[0] ?? null)} /></label>
          <label class="field">adapter_model.safetensors<input type="file" required accept=".safetensors" onChange={(event) => setWeights(event.currentTarget.files?.[0] ?? null)} /></label>
        </>
      ) : <label class="field">Folder, inside --lora-dir<input required value={folder} onInput={(event) => setFolder(event.currentTarget.value)} /></label>}
    </Form>
  );
}
