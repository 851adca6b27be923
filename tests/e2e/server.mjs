// Starts the program under test and waits until it says its port.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';

// Waits for the line that tells where the child listens, and makes it easy to talk to.
async function listening(child, pattern, dispose = () => {}) {
  const exited = new Promise((resolve) => child.once('exit', (code, signal) => { dispose(); resolve(code ?? signal); }));
  const port = await new Promise((resolve, reject) => {
    child.once('error', reject);
    exited.then((code) => reject(new Error(`the server ended with ${code} before it listened`)));
    readline.createInterface({ input: child.stdout }).on('line', (line) => {
      const found = pattern.exec(line);
      if (found) resolve(Number(found[1]));
    });
  });
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    exited,
    signal: (name) => child.kill(name),
    stop: async () => {
      child.kill('SIGTERM');
      return exited;
    },
  };
}

// The fake model behind the real API.
export function startServer(...flags) {
  return listening(spawn(process.env.HEARTH_FAKE, flags, { stdio: ['ignore', 'pipe', 'inherit'] }), /^listening (\d+)$/);
}

export const makeDataDir = () => fs.mkdtempSync(path.join(os.tmpdir(), 'hearth-e2e-'));

function startProgram(flags, model = [], data = makeDataDir(), dispose = () => fs.rmSync(data, { recursive: true, force: true })) {
  const child = spawn(
    process.env.HEARTH, ['serve', ...model.map((make) => make(data)), '--port', '0', '--data-dir', data, '--log-level', 'error', ...flags],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  return listening(child, /OpenAI API.*:(\d+)\/v1/, dispose);
}

export function tempFolder(t) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hearth-e2e-'));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

// The program itself with the model inside it.
export const startHearth = (...flags) => startProgram(flags);

// The same in a data directory that outlives it.
export const startHearthIn = (data, ...flags) => startProgram(flags, [], data, () => {});

// The same weights with room for long texts. What it says there is nonsense; what it costs is not.
export function startLongHearth(...flags) {
  const source = new URL('../../models/ember/', import.meta.url).pathname;
  const longModel = (data) => {
    const folder = path.join(data, 'models', 'ember');
    fs.cpSync(source, folder, { recursive: true });
    const config = JSON.parse(fs.readFileSync(path.join(folder, 'config.json')));
    fs.writeFileSync(path.join(folder, 'config.json'), JSON.stringify({ ...config, max_position_embeddings: 32768 }));
    return folder;
  };
  return startProgram(['--kv-cache-tokens', '40960', ...flags], [longModel]);
}

// The value of a sample of /metrics; 0 when it is not there.
export async function metric(server, name) {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const line = text.split('\n').find((entry) => entry.startsWith(name));
  return line ? Number(line.slice(line.lastIndexOf(' ') + 1)) : 0;
}

export async function eventually(check, what) {
  const deadline = Date.now() + 20_000;
  while (Date.now() < deadline) {
    if (await check()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`not within 20 seconds: ${what}`);
}

export const say = (text) => [{ role: 'user', content: `say ${text}` }];
