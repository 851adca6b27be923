// Machines with a network of their own, for tests: server and agents in network namespaces, joined by a bridge. Needs root and ip.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';

import { hearth, House, noProcessesSaved, until } from './house.mjs';

function why() {
  if (process.getuid() !== 0) return 'network namespaces need root';
  const name = `hearth-try-${process.pid}`;
  const needed = [['netns', 'add', name], ['-n', name, 'link', 'add', 'br0', 'type', 'bridge'],
    ['-n', name, 'link', 'add', 'p1', 'type', 'veth', 'peer', 'name', 'p2']];
  const tried = needed.map((words) => spawnSync('ip', words, { encoding: 'utf8' }));
  const refused = tried.find((done) => done.status !== 0);
  spawnSync('ip', ['netns', 'del', name]);
  return refused ? `no network namespaces here: ${(refused.stderr || String(refused.error)).trim()}` : null;
}
// Why there can be no such machines here; or null.
export const noMachines = why();

export const ip = (...words) => execFileSync('ip', words, { encoding: 'utf8' });

// Each machine is a namespace; the switch between them is a bridge in one more.
export class Machines extends House {
  constructor(flags) {
    super(flags);
    this.prefix = `hf${process.pid}`;
    this.hosts = new Map();  // name -> its number in the network
    this.space('switch');
    ip('-n', this.at('switch'), 'link', 'add', 'br0', 'type', 'bridge');
    ip('-n', this.at('switch'), 'link', 'set', 'br0', 'up');
  }

  at(name) {
    return `${this.prefix}-${name}`;
  }

  space(name) {
    ip('netns', 'add', this.at(name));
    ip('-n', this.at(name), 'link', 'set', 'lo', 'up');
  }

  boot(name) {
    this.space(name);
    if (!this.hosts.has(name)) this.hosts.set(name, this.hosts.size + 1);
    const port = `p${this.hosts.get(name)}`;
    ip('-n', this.at('switch'), 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', this.at(name));
    ip('-n', this.at('switch'), 'link', 'set', port, 'master', 'br0', 'up');
    ip('-n', this.at(name), 'addr', 'add', `${this.address(name)}/24`, 'dev', 'eth0');
    ip('-n', this.at(name), 'link', 'set', 'eth0', 'up');
  }

  address(name) {
    return `10.231.77.${this.hosts.get(name)}`;
  }

  // At the switch, so that the machine itself is not told.
  unplug(name) {
    ip('-n', this.at('switch'), 'link', 'set', `p${this.hosts.get(name)}`, 'nomaster');
  }

  plug(name) {
    ip('-n', this.at('switch'), 'link', 'set', `p${this.hosts.get(name)}`, 'master', 'br0');
  }

  // What comes to the machine comes at 0.2 MB/s. False: this kernel cannot do that.
  slow(name) {
    return spawnSync('tc', ['-n', this.at('switch'), 'qdisc', 'add', 'dev', `p${this.hosts.get(name)}`, 'root', 'tbf', 'rate', '1600kbit', 'burst', '64kbit',
      'latency', '400ms']).status === 0;
  }

  quick(name) {
    spawnSync('tc', ['-n', this.at('switch'), 'qdisc', 'del', 'dev', `p${this.hosts.get(name)}`, 'root']);
  }

  // Everything that runs there is killed at once, and its network is gone.
  tearDown(name) {
    for (let left = this.pidsOn(name); left.length > 0; left = this.pidsOn(name)) {
      for (const pid of left) {
        try { process.kill(pid, 'SIGKILL'); } catch { /* it is gone */ }
      }
    }
    ip('netns', 'del', this.at(name));
    spawnSync('ip', ['-n', this.at('switch'), 'link', 'del', `p${this.hosts.get(name)}`]);
  }

  pidsOn(name) {
    const found = spawnSync('ip', ['netns', 'pids', this.at(name)], { encoding: 'utf8' }).stdout ?? '';
    return found.split('\n').filter(Boolean).map(Number).filter((pid) => {
      try {
        return !/^State:\s*Z/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'));
      } catch {
        return false;
      }
    });
  }

  startOn(name, words, log) {
    const out = fs.openSync(path.join(this.dir, log), 'a');
    const child = spawn('ip', ['netns', 'exec', this.at(name), hearth, ...words], { stdio: ['ignore', out, out] });
    fs.closeSync(out);
    return child;
  }

  async startServer() {
    this.boot('server');
    this.url = `http://${this.address('server')}:8100`;
    this.server = this.startOn('server', ['forge', 'server', '--data', this.data, '--host', '0.0.0.0', '--port', '8100', ...this.flags], 'server.log');
    await until('the server to listen', 20000, () => {
      if (this.server.exitCode !== null) throw new Error(`the server ended:\n${this.log('server.log')}`);
      return fs.existsSync(path.join(this.data, 'forge.url'));
    });
    this.token = fs.readFileSync(path.join(this.data, 'forge.token'), 'utf8').trim();
  }

  startAgent(name, devices, flags = []) {
    if (!fs.existsSync(`/run/netns/${this.at(name)}`)) this.boot(name);
    const words = ['forge', 'agent', '--url', this.url, '--token', this.token, '--node', name, '--devices', String(devices),
      '--address', this.address(name), '--state', path.join(this.dir, name), ...noProcessesSaved, ...flags];
    this.agents.set(name, { devices, child: this.startOn(name, words, `${name}.log`) });
  }

  // From the server's own machine, where one program asks for all of a test.
  async api(method, where, body) {
    this.asker ??= this.startAsker();
    const { child, waiting } = this.asker;
    const id = ++this.asker.asked;
    const done = new Promise((resolve) => { waiting.set(id, resolve); });
    child.stdin.write(`${JSON.stringify({ id, url: `${this.url}/v1/forge/${where}`, method, token: this.token, body })}\n`);
    const { ok, json } = await done;
    if (!ok) throw new Error(json.error.message);
    return json;
  }

  startAsker() {
    const script = `require('readline').createInterface({ input: process.stdin }).on('line', async (line) => {
      const { id, url, method, token, body } = JSON.parse(line);
      const answer = await fetch(url, { method, headers: { Authorization: 'Bearer ' + token }, body: body && JSON.stringify(body), signal: AbortSignal.timeout(20000) })
        .then(async (got) => ({ ok: got.ok, json: await got.json() }))
        .catch((error) => ({ ok: false, json: { error: { message: String(error.cause ?? error) } } }));
      console.log(JSON.stringify({ id, ...answer }));
    });`;
    const child = spawn('ip', ['netns', 'exec', this.at('server'), process.execPath, '-e', script], { stdio: ['pipe', 'pipe', 'inherit'] });
    const waiting = new Map();
    readline.createInterface({ input: child.stdout }).on('line', (line) => {
      const answer = JSON.parse(line);
      waiting.get(answer.id)(answer);
      waiting.delete(answer.id);
    });
    return { child, waiting, asked: 0 };
  }

  async close() {
    this.asker?.child.kill('SIGKILL');
    for (const name of [...this.hosts.keys()]) {
      try { this.tearDown(name); } catch { /* it is torn down */ }
    }
    spawnSync('ip', ['netns', 'del', this.at('switch')]);
    await super.close();
  }
}

export async function onMachines(flags, body) {
  const house = new Machines(flags);
  try {
    await house.startServer();
    await body(house);
  } catch (error) {
    const logs = fs.readdirSync(house.dir).filter((name) => name.endsWith('.log'));
    error.message += `\n${logs.map((name) => `--- ${name}\n${house.log(name).split('\n').slice(-15).join('\n')}`).join('\n')}`;
    throw error;
  } finally {
    await house.close();
  }
}

export const counters = (house, name) => house.pidsOn(name).filter((pid) => {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('counter.sh');
  } catch {
    return false;
  }
});
