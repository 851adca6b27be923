// Machines with a network of their own: server and agents in network namespaces, joined by a bridge. Links go down for longer than a lease
// and come back, and whole machines are torn down with everything in them. Needs root and ip.
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import { hearth, House, sleep, until } from './house.mjs';

const slow = process.env.HEARTH_SLOW !== undefined;
const seed = Number(process.env.HEARTH_SEED ?? Date.now() % 100000);

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
const reason = why();
if (reason) console.log(`  skipped: ${reason}`);
const skip = reason ?? false;

const ip = (...words) => execFileSync('ip', words, { encoding: 'utf8' });

// Each machine is a namespace; the switch between them is a bridge in one more.
class Machines extends House {
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

  startAgent(name, devices) {
    if (!fs.existsSync(`/run/netns/${this.at(name)}`)) this.boot(name);
    const words = ['forge', 'agent', '--url', this.url, '--token', this.token, '--node', name, '--devices', String(devices),
      '--address', this.address(name), '--state', path.join(this.dir, name)];
    this.agents.set(name, { devices, child: this.startOn(name, words, `${name}.log`) });
  }

  // From the server's own machine.
  async api(method, where, body) {
    const script = `const [url, method, token, body] = process.argv.slice(1);
      fetch(url, { method, headers: { Authorization: 'Bearer ' + token }, body: body || undefined })
        .then(async (answer) => console.log(JSON.stringify({ ok: answer.ok, json: await answer.json() })));`;
    const out = execFileSync('ip', ['netns', 'exec', this.at('server'), process.execPath, '-e', script, '--', `${this.url}/v1/forge/${where}`, method, this.token,
      body ? JSON.stringify(body) : ''], { encoding: 'utf8', timeout: 20000 });
    const { ok, json } = JSON.parse(out);
    if (!ok) throw new Error(json.error.message);
    return json;
  }

  async close() {
    for (const name of [...this.hosts.keys()]) {
      try { this.tearDown(name); } catch { /* it is torn down */ }
    }
    spawnSync('ip', ['netns', 'del', this.at('switch')]);
    await super.close();
  }
}

async function onMachines(flags, body) {
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

const counters = (house, name) => house.pidsOn(name).filter((pid) => {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('counter.sh');
  } catch {
    return false;
  }
});

test('a machine whose link is gone for longer than its lease has killed its work before another starts it, and joins again', { skip, timeout: 180000 }, () =>
  onMachines(['--lease-ms', '4000'], async (house) => {
    house.startAgent('one', 1);
    const id = await house.submit({ command: house.counter(250, 0.1), retries: 100, stop: { grace_s: 2, cost_s: 0 } });
    await until('it to run', 20000, () => counters(house, 'one').length > 0);
    house.startAgent('two', 1);
    await until('both nodes', 20000, async () => (await house.api('GET', 'state')).totals.devices === 2);
    house.unplug('one');
    await until('its workers to be killed there', 4000, () => counters(house, 'one').length === 0);
    assert.equal(counters(house, 'two').length, 0, 'nobody else before that');
    await until('it to run elsewhere', 20000, async () => (await house.job(id)).where === 'two' && counters(house, 'two').length > 0);
    house.plug('one');
    await until('the node to be back', 30000, async () => (await house.api('GET', 'state')).totals.devices === 2);
    assert.equal((await house.over(id, 90000)).state, 'succeeded');
    assert.deepEqual(house.state(id, 'epochs'), ['1', '2']);
    assert.equal(house.violations(), '');
  }));

test(`links go and come, machines are torn down with their network, seed ${seed}: nothing is lost, nothing runs twice`, { skip, timeout: 600000 }, () =>
  onMachines(['--lease-ms', '4000'], async (house) => {
    let state = seed;
    const rand = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32;
    };
    const names = ['one', 'two'];
    for (const name of names) house.startAgent(name, 2);
    const ids = [];
    for (let i = 0; i < (slow ? 24 : 6); ++i) {
      ids.push(await house.submit({
        command: house.counter(10 + Math.floor(rand() * 30), 0.1), retries: 1000, key: `job ${i}`,
        workers: { min: 1 + (i % 2), process: 'per-node' }, place: { locality: 'node' }, stop: { grace_s: 2, cost_s: 0 },
      }));
    }
    const counts = { cables: 0, machines: 0 };
    const end = Date.now() + (slow ? 90000 : 15000);
    while (Date.now() < end) {
      await sleep(500 + rand() * 1500);
      const name = names[Math.floor(rand() * names.length)];
      if (rand() < 0.5) {
        ++counts.cables;
        const cable = rand() < 0.2 ? 'server' : name;
        house.unplug(cable);
        await sleep(1000 + rand() * 6000);
        house.plug(cable);
      } else {
        ++counts.machines;
        house.tearDown(name);
        await sleep(rand() * 6000);
        house.startAgent(name, 2);
      }
    }
    for (const id of ids) {
      const job = await house.over(id, 180000);
      assert.equal(job.state, 'succeeded', `job ${id}`);
      const epochs = house.state(id, 'epochs').map(Number);
      for (let i = 1; i < epochs.length; ++i) assert.ok(epochs[i] > epochs[i - 1], `job ${id}: epochs ${epochs}`);
      assert.equal(epochs.at(-1), job.epoch, `job ${id}: what began last is what the server says succeeded`);
      assert.equal(house.state(id, 'done').at(-1), `epoch ${job.epoch}`);
    }
    assert.equal(house.violations(), '');
    console.log(`  ${counts.cables} cables pulled, ${counts.machines} machines torn down`);
  }));
