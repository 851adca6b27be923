// Starts `hearth serve`, or `hearth forge up`, on a free port and waits until it is ready.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { freePort } from '../ports.mjs';

// Runs the program until `stop`; ready when `isReady` says so of its address.
async function start(words, url, isReady) {
  const child = spawn(process.env.HEARTH, ['--log-level', 'warn', ...words], { stdio: ['ignore', 'ignore', 'inherit'] });
  const deadline = Date.now() + 60_000;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`hearth ${words[0]} ended with status ${child.exitCode}`);
    if (Date.now() > deadline) throw new Error(`hearth ${words[0]} was not ready within a minute`);
    if (await fetch(url + isReady).then((response) => response.ok, () => false)) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return async () => {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await ended;
  };
}

export async function startServer(...flags) {
  const port = await freePort();
  const dataDir = fs.mkdtempSync(path.join(os.tmpdir(), 'hearth-browser-'));
  const url = `http://127.0.0.1:${port}`;
  const end = await start(['serve', '--port', String(port), '--data-dir', dataDir, ...flags], url, '/ready');
  const stop = async () => {
    await end();
    fs.rmSync(dataDir, { recursive: true, force: true });
  };
  return { url, stop };
}

// A server and an agent; `others` are agents of clusters besides the first.
export async function startForge(devices, fleet = '', others = []) {
  const port = await freePort();
  const dataDir = fs.mkdtempSync(path.join(os.tmpdir(), 'hearth-browser-'));
  const url = `http://127.0.0.1:${port}`;
  const list = path.join(dataDir, 'fleet.toml');
  if (fleet) fs.writeFileSync(list, fleet);
  const end = await start(['forge', 'up', '--port', String(port), '--data', dataDir, '--node', 'bench-1', '--devices', String(devices), '--lease-ms', '4000', ...(fleet ? ['--fleet', list] : [])], url, '/healthz');
  const token = fs.readFileSync(path.join(dataDir, 'forge.token'), 'utf8').trim();
  const ask = async (method, where, body) => {
    const answer = await fetch(`${url}/v1/forge/${where}`, { method, headers: { Authorization: `Bearer ${token}` }, body: body && JSON.stringify(body) });
    return answer.json();
  };
  // Jobs that come now go to the first node that is there, on a busy machine too.
  const isUp = async (name) => (await ask('GET', 'state')).nodes.some((node) => node.name === name && node.state === 'up');
  for (const end = Date.now() + 20_000; Date.now() < end && !(await isUp('bench-1'));) await new Promise((resolve) => setTimeout(resolve, 100));
  const agents = others.map(({ node, cluster }) => spawn(process.env.HEARTH, ['--log-level', 'warn', 'forge', 'agent', '--url', url, '--token-file', path.join(dataDir, 'forge.token'),
    '--node', node, '--cluster', cluster, '--devices', String(devices), '--state', path.join(dataDir, node)], { stdio: ['ignore', 'ignore', 'inherit'] }));
  const stop = async () => {
    for (const job of (await ask('GET', 'jobs')).jobs ?? []) await ask('POST', `jobs/${job.id}/cancel`, {});
    for (const end = Date.now() + 10_000; Date.now() < end && (await ask('GET', 'jobs')).jobs.length > 0;) await new Promise((resolve) => setTimeout(resolve, 100));
    for (const agent of agents) agent.kill('SIGKILL');
    await end();
    fs.rmSync(dataDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  };
  return { url, token, ask, stop };
}
