// Several servers with a real etcd: one decides, and is killed, put to sleep or cut off while jobs run; another goes on. Nothing is lost,
// nothing runs twice.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import { findEtcd, inCouncil } from './etcd.mjs';
import { hearth, sleep, until } from './house.mjs';

const slow = process.env.HEARTH_SLOW !== undefined;
const seed = Number(process.env.HEARTH_SEED ?? Date.now() % 100000);
const { program, why } = findEtcd(slow);
if (why) console.log(`  skipped: ${why}`);
const skip = why ?? false;
const flags = ['--lease-ms', '12000', '--etcd-lease-s', '3'];

function random(state) {
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

test('three servers: any is asked, one decides; when it is killed another goes on, and the workers never notice', { skip }, () =>
  inCouncil({ program, flags }, async (council) => {
    council.startAgent('one', 2);
    fs.writeFileSync(path.join(council.dir, 'job.toml'), `name = "counted"\nretries = 100\ncommand = ${JSON.stringify(council.counter(150, 0.1))}\n`);
    assert.match(council.cli('submit', path.join(council.dir, 'job.toml')), /^job 0 \(counted\)/);
    await until('it to run', 20000, async () => (await council.job(0)).state === 'running');

    const first = await council.leader();
    const follower = [...council.servers.keys()].find((name) => name !== first);
    const answer = await council.ask(council.servers.get(follower).url, 'GET', 'jobs/0');
    assert.equal(answer.status, 307);
    assert.equal(answer.headers.get('Location'), `${council.servers.get(first).url}/v1/forge/jobs/0`);
    const page = await fetch(`${council.servers.get(follower).url}/`, { redirect: 'manual' });
    assert.equal(page.headers.get('Location'), `${council.servers.get(first).url}/`);
    const tokens = [...council.servers.keys()].map((name) => fs.readFileSync(path.join(council.dir, name, 'forge.token'), 'utf8').trim());
    assert.equal(new Set(tokens).size, 1, 'they share a token');

    const killed = Date.now();
    council.servers.get(first).child.kill('SIGKILL');
    const second = await until('another server to decide', 15000, () => council.leader());
    const took = Date.now() - killed;
    assert.notEqual(second, first);
    assert.match(council.cli('ps'), /0 counted +running/);
    const extra = await council.submit({ command: ['true'] });
    assert.equal(extra, 1, 'numbers go on');
    assert.equal((await council.over(extra)).state, 'succeeded');

    await council.startOne(first);
    const over = await council.over(0, 60000);
    assert.equal(over.state, 'succeeded');
    assert.deepEqual(council.state(0, 'epochs'), ['1'], 'the worker ran on');
    const log = await until('its whole log', 10000, () => {
      const text = council.cli('logs', '0');
      return text.includes('step 150') ? text : null;
    });
    assert.equal([...log.matchAll(/^step /gm)].length, 150);
    assert.match(council.cli('events'), /job 0 \(counted\) was submitted[^]*job 1 /);
    assert.equal(council.violations(), '');

    const stopped = Date.now();
    council.servers.get(second).child.kill('SIGTERM');
    await until('a third to decide at once', 5000, async () => {
      const leader = await council.leader();
      return leader && leader !== second;
    });
    assert.match(council.cli('ps', '--all'), /0 counted +succeeded/);
    console.log(`  another server decided ${took} ms after kill -9 (lease 3 s), ${Date.now() - stopped} ms after SIGTERM`);
  }));

test('a server that sleeps past its lease answers nobody when it wakes, and the workers never notice', { skip }, () =>
  inCouncil({ program, servers: 2, flags }, async (council) => {
    council.startAgent('one', 1);
    const id = await council.submit({ command: council.counter(200, 0.1), retries: 100 });
    await until('it to run', 20000, async () => (await council.job(id)).state === 'running');
    const first = await council.leader();
    const { child, url } = council.servers.get(first);
    child.kill('SIGSTOP');
    const second = await until('the other server to decide', 15000, () => council.leader());
    assert.notEqual(second, first);
    // It is in the sleeper's hands before it wakes.
    const asked = council.ask(url, 'GET', 'state');
    await sleep(200);
    child.kill('SIGCONT');
    const answer = await asked;
    assert.ok(answer.status === 307 || answer.status === 503, `it answered ${answer.status}`);
    await until('it to say that it does not decide', 5000, () => /decides no longer/.test(council.log(`${first}.log`)));
    await until('it to send on', 5000, async () => (await council.ask(url, 'GET', 'state')).headers.get('Forge-Leader') === council.servers.get(second).url);
    assert.equal((await council.over(id, 90000)).state, 'succeeded');
    assert.deepEqual(council.state(id, 'epochs'), ['1'], 'the worker ran on');
    assert.equal(council.violations(), '');
  }));

async function disturb(council, rand, counts, end) {
  const deadAgents = new Map();
  while (Date.now() < end) {
    await sleep(300 + rand() * 1200);
    const what = rand();
    const leader = await until('a server to decide', 30000, () => council.leader());
    if (what < 0.25) {
      ++counts.killed;
      council.servers.get(leader).child.kill('SIGKILL');
      await sleep(rand() * 3000);
      await council.startOne(leader);
    } else if (what < 0.6) {
      // Longer than its lease, so that another one decides when it wakes.
      ++counts.asleep;
      council.servers.get(leader).child.kill('SIGSTOP');
      await sleep(3500 + rand() * 3500);
      council.servers.get(leader).child.kill('SIGCONT');
    } else if (what < 0.8) {
      const names = council.etcd.names;
      const name = names[Math.floor(rand() * names.length)];
      if (names.length > 1 && rand() < 0.5) {
        // One that is there and says nothing.
        ++counts.silent;
        council.etcd.members.get(name).kill('SIGSTOP');
        await sleep(1000 + rand() * 4000);
        council.etcd.members.get(name).kill('SIGCONT');
        continue;
      }
      ++counts.etcd;
      council.etcd.kill(name);
      await sleep(rand() * (names.length > 1 ? 3000 : 800));
      council.etcd.startMember(name);
      await until('etcd to be whole', 20000, async () => (await council.etcd.health()) === names.length);
    } else {
      const name = ['one', 'two'][Math.floor(rand() * 2)];
      if (!deadAgents.has(name)) {
        ++counts.agents;
        council.agents.get(name).child.kill('SIGKILL');
        deadAgents.set(name, Date.now() + rand() * 4000);
      }
    }
    for (const [name, at] of deadAgents) {
      if (Date.now() < at) continue;
      council.startAgent(name, 2);
      deadAgents.delete(name);
    }
  }
  for (const name of deadAgents.keys()) council.startAgent(name, 2);
}

for (const members of slow ? [1, 3] : [1]) {
  const etcds = members === 1 ? 'one etcd' : `${members} etcds`;
  test(`servers are killed and put to sleep, members of ${etcds} and agents killed, seed ${seed}: nothing is lost, nothing runs twice`, { skip, timeout: 600000 }, () =>
    inCouncil({ program, members, flags }, async (council) => {
      const rand = random(seed + members);
      for (const name of ['one', 'two']) council.startAgent(name, 2);
      const ids = [];
      for (let i = 0; i < (slow ? 30 : 8); ++i) {
        ids.push(await council.submit({
          command: council.counter(10 + Math.floor(rand() * 30), 0.1), retries: 1000, key: `job ${i}`,
          workers: { min: 1 + (i % 2), process: 'per-node' }, place: { locality: 'node' }, stop: { grace_s: 2, cost_s: 0 },
        }));
      }
      const counts = { killed: 0, asleep: 0, etcd: 0, silent: 0, agents: 0 };
      await disturb(council, rand, counts, Date.now() + (slow ? 90000 : 20000));
      for (const id of ids) {
        const job = await council.over(id, 180000);
        assert.equal(job.state, 'succeeded', `job ${id}`);
        const epochs = council.state(id, 'epochs').map(Number);
        for (let i = 1; i < epochs.length; ++i) assert.ok(epochs[i] > epochs[i - 1], `job ${id}: epochs ${epochs}`);
        assert.equal(epochs.at(-1), job.epoch, `job ${id}: what began last is what the server says succeeded`);
        const ends = council.state(id, 'done');
        assert.equal(new Set(ends).size, ends.length, `job ${id}: no epoch ends twice: ${ends}`);
        assert.equal(ends.at(-1), `epoch ${job.epoch}`);
      }
      assert.equal(council.violations(), '');
      console.log(`  ${etcds}: killed ${counts.killed} servers, ${counts.etcd} members, ${counts.agents} agents; ${counts.asleep} servers slept past their lease, ${counts.silent} members were silent`);
    }));
}

test('without an etcd the server says which address it tried and what to do', () => {
  const data = fs.mkdtempSync(path.join(os.tmpdir(), 'hearth-forge-'));
  const run = (...words) => spawnSync(hearth, ['forge', 'server', '--data', data, '--port', '0', ...words], { encoding: 'utf8', timeout: 20000 });
  const absent = run('--etcd', 'http://127.0.0.1:1,http://127.0.0.1:2');
  assert.notEqual(absent.status, 0);
  assert.match(absent.stderr, /http:\/\/127\.0\.0\.1:1,http:\/\/127\.0\.0\.1:2: no etcd answers \(.*\); start it, or correct --etcd/);
  const wrong = run('--etcd', '127.0.0.1:2379');
  assert.match(wrong.stderr, /does not start with http/);
  const short = run('--etcd', 'http://127.0.0.1:1', '--lease-ms', '8000');
  assert.match(short.stderr, /--etcd-lease-s: expected at most a quarter of --lease-ms/);
  fs.rmSync(data, { recursive: true });
});
