// Starts the program under test and waits until it says its port.
import { spawn } from 'node:child_process';
import readline from 'node:readline';

export async function startServer(...flags) {
  const child = spawn(process.env.HEARTH_FAKE, flags, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = new Promise((resolve) => child.once('exit', (code, signal) => resolve(code ?? signal)));
  const line = await new Promise((resolve, reject) => {
    child.once('error', reject);
    exited.then((code) => reject(new Error(`the server ended with ${code} before it listened`)));
    readline.createInterface({ input: child.stdout }).once('line', resolve);
  });
  const port = Number(/^listening (\d+)$/.exec(line)[1]);
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
