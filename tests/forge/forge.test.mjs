// One server, one or two agents, real jobs: submitted, watched, preempted, moved, and killed with everything around them.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import { hearth, inHouse, noProcessesSaved, sleep, until } from './house.mjs';

const slow = process.env.HEARTH_SLOW !== undefined;
const seed = Number(process.env.HEARTH_SEED ?? Date.now() % 100000);

function random(state) {
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

test('a job is submitted from a file, its log followed, its end seen', () => inHouse([], async (house) => {
  house.startAgent('one', 2);
  fs.writeFileSync(path.join(house.dir, 'job.toml'), `
name = "hello"
command = ["bash", "-c", "echo rank $HEARTH_RANK of $HEARTH_WORLD_SIZE on {devices}; echo $GREETING >&2; pwd"]
[environment]
GREETING = "good day"
[workers]
min = 2
`);
  const out = house.cli('submit', '-f', path.join(house.dir, 'job.toml'));
  assert.match(out, /^job 0 \(hello\)\nrank 0 of 2 on 0\ngood day\n/);
  assert.match(house.cli('logs', '0', '--rank', '1'), /^rank 1 of 2 on 1\n/);
  assert.match(house.cli('ps'), /no job waits or runs/);
  assert.match(house.cli('ps', '--all'), /0 hello +succeeded +standard/);
  assert.match(house.cli('events'), /job 0 \(hello\) was submitted\n[^]*starts on one, epoch 1[^]*runs\n.*ended on one: succeeded\n.*succeeded\n/);
  assert.match(house.cli('top', '--once'), /2 devices, 0 busy/);
}));

test('what cannot be is refused in words, and a failure is reported with its status', () => inHouse([], async (house) => {
  house.startAgent('one', 1);
  await assert.rejects(house.submit({ command: [] }), /command: expected a program/);
  await assert.rejects(house.submit({ command: ['true'], tier: 'gold' }), /no 'gold'; take one of: premium, standard, basic/);
  await assert.rejects(house.submit({ command: ['true'], place: { regions: ['moon'] } }), /no 'moon' in this fleet; there are: local/);
  await assert.rejects(house.submit({ command: ['true'], worker: {} }), /no field 'worker'/);
  await assert.rejects(house.job(99), /no job 99/);
  const unknown = await fetch(`${house.url}/v1/forge/jobs`);
  assert.equal(unknown.status, 401);
  const impossible = await house.submit({ command: ['true'], workers: { min: 5 } });
  await until('a reason', 5000, async () => (await house.job(impossible)).reason === 'no such place');
  assert.match(house.cli('explain', String(impossible)), /could hold it even when empty/);
  const missing = await house.over(await house.submit({ command: ['/no/such/program'], retries: 0 }));
  assert.equal(missing.state, 'failed');
  const text = await until('its log', 5000, () => house.cli('logs', String(missing.id)));
  assert.match(text, /command '\/no\/such\/program': No such file/);
  const again = await house.over(await house.submit({ command: ['false'], retries: 2 }));
  assert.equal(again.failures, 3);
  const key = { command: ['true'], key: 'only once' };
  assert.equal(await house.submit(key), await house.submit(key));
  house.cli('cancel', String(impossible));
  assert.equal((await house.job(impossible)).state, 'cancelled');
}));

test('a premium job takes the devices of a basic one, which saves, waits and goes on', () => inHouse([], async (house) => {
  house.startAgent('one', 2);
  const basic = await house.submit({
    command: house.counter(40, 0.05), tier: 'basic', workers: { min: 1, max: 1, process: 'per-node' }, stop: { grace_s: 5, cost_s: 1 },
  });
  const other = await house.submit({ command: ['sleep', '30'], tier: 'basic' });
  await until('some steps', 10000, () => Number(house.state(basic, 'n')[0] ?? 0) >= 5);
  const premium = await house.submit({ command: ['sleep', '0.5'], tier: 'premium', workers: { min: 2 } });
  await until('the premium job to run', 10000, async () => (await house.job(premium)).state === 'running');
  assert.match(house.cli('explain', String(basic)), new RegExp(`job ${premium} \\(premium, default\\) took its place`));
  await house.over(premium);
  house.cli('cancel', String(other));
  const job = await house.over(basic);
  assert.equal(job.state, 'succeeded');
  assert.deepEqual(house.state(basic, 'epochs'), ['1', '2']);
  assert.equal(house.state(basic, 'n')[0], '40');
  const log = await until('the whole log', 5000, () => {
    const text = house.cli('logs', String(basic));
    return text.includes('step 40') ? text : null;
  });
  const steps = [...log.matchAll(/^step (\d+)$/gm)].map((match) => Number(match[1]));
  assert.deepEqual(steps, Array.from({ length: 40 }, (_, i) => i + 1), 'each step once, over both epochs');
  assert.equal(house.violations(), '');
}));

test('drained, resized, moved: the job follows and loses nothing', () => inHouse([], async (house) => {
  house.startAgent('one', 1);
  house.startAgent('two', 3);
  await until('both nodes', 10000, async () => (await house.api('GET', 'state')).totals.devices === 4);
  const id = await house.submit({ command: house.counter(60, 0.05), workers: { min: 1, process: 'per-node' }, stop: { grace_s: 5, cost_s: 0 } });
  await until('it runs', 10000, async () => (await house.job(id)).state === 'running');
  const first = (await house.job(id)).where;
  house.cli('drain', first);
  await until('it to leave', 10000, async () => {
    const job = await house.job(id);
    return job.state === 'running' && job.where !== first;
  });
  house.cli('resume', first);
  house.cli('drain', 'one');
  house.cli('resize', String(id), '2-3');
  await until('two workers', 10000, async () => {
    const job = await house.job(id);
    return job.state === 'running' && job.workers >= 2;
  });
  house.cli('move', String(id), 'local');
  assert.equal((await house.over(id)).state, 'succeeded');
  assert.equal(house.state(id, 'n')[0], '60');
  assert.equal(house.violations(), '');
}));

test(`the server, agents, keepers and jobs are killed at random, seed ${seed}: nothing is lost, nothing runs twice`, () => inHouse(['--lease-ms', '4000'], async (house) => {
  const rand = random(seed);
  const names = ['one', 'two'];
  for (const name of names) house.startAgent(name, 2);
  const ids = [];
  const wanted = slow ? 40 : 10;
  for (let i = 0; i < wanted; ++i) {
    ids.push(await house.submit({
      command: house.counter(10 + Math.floor(rand() * 20), 0.1), retries: 1000, key: `job ${i}`,
      workers: { min: 1 + (i % 2), process: 'per-node' }, place: { locality: 'node' }, stop: { grace_s: 2, cost_s: 0 },
    }));
  }
  const deadAt = new Map();
  const kills = { server: 0, agent: 0, keeper: 0, job: 0 };
  const end = Date.now() + (slow ? 90000 : 12000);
  while (Date.now() < end) {
    await sleep(150 + rand() * 400);
    const what = rand();
    if (what < 0.2) {
      house.server.kill('SIGKILL');
      ++kills.server;
      await sleep(rand() * 1500);
      await house.startServer();
    } else if (what < 0.5) {
      const name = names[Math.floor(rand() * names.length)];
      house.agents.get(name).child.kill('SIGKILL');
      ++kills.agent;
      deadAt.set(name, Date.now() + rand() * 4000);
    } else {
      const kind = what < 0.65 ? 'keeper' : 'job';
      const found = house.processes(kind === 'keeper' ? /^keeper$/ : /counter\.sh$/);
      if (found.length === 0) continue;
      try {
        process.kill(found[Math.floor(rand() * found.length)], 'SIGKILL');
        ++kills[kind];
      } catch { /* it is gone */ }
    }
    for (const [name, at] of deadAt) {
      if (Date.now() < at) continue;
      house.startAgent(name, 2);
      deadAt.delete(name);
    }
  }
  for (const name of deadAt.keys()) house.startAgent(name, 2);
  for (const id of ids) {
    const job = await house.over(id, 120000);
    assert.equal(job.state, 'succeeded', `job ${id}`);
    const epochs = house.state(id, 'epochs').map(Number);
    for (let i = 1; i < epochs.length; ++i) assert.ok(epochs[i] > epochs[i - 1], `job ${id}: epochs ${epochs}`);
    assert.equal(epochs.at(-1), job.epoch, `job ${id}: what began last is what the server says succeeded`);
    const ends = house.state(id, 'done');
    assert.equal(new Set(ends).size, ends.length, `job ${id}: no epoch ends twice: ${ends}`);
    assert.equal(ends.at(-1), `epoch ${job.epoch}`);
  }
  assert.equal(house.violations(), '');
  console.log(`  killed ${kills.server} servers, ${kills.agent} agents, ${kills.keeper} keepers, ${kills.job} jobs`);
}));

test('workers die with the lease when their agent does not come back', () => inHouse(['--lease-ms', '2000'], async (house) => {
  house.startAgent('one', 1);
  const id = await house.submit({ command: house.counter(1000, 0.1) });
  await until('it runs', 10000, () => house.processes(/counter\.sh$/).length > 0);
  house.agents.get('one').child.kill('SIGKILL');
  await until('its workers to be killed', 4000, () => house.processes(/counter\.sh$/).length === 0);
  await until('the server to know', 4000, async () => (await house.job(id)).state === 'queued');
  house.startAgent('one', 1);
  await until('it to run again', 10000, async () => (await house.job(id)).state === 'running');
  assert.equal(house.violations(), '');
}));

// A disk of a megabyte for an agent's own folder; null where this user may mount none.
function mountSmallDisk(folder) {
  fs.mkdirSync(folder);
  return spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', folder]).status === 0 ? () => spawnSync('umount', ['-l', folder]) : null;
}

test('an agent whose disk is full keeps what runs, and starts the rest when there is room', () => inHouse(['--lease-ms', '8000'], async (house) => {
  const unmount = mountSmallDisk(path.join(house.dir, 'one'));
  if (!unmount) return console.log('  skipped: mounting a small disk needs root');
  try {
    house.startAgent('one', 2);
    const runs = await house.submit({ command: house.counter(30) });
    await until('it to run', 10000, () => house.state(runs, 'n')[0] >= 3);
    const ballast = path.join(house.dir, 'one', 'ballast');
    assert.throws(() => fs.writeFileSync(ballast, Buffer.alloc(2 << 20)), /ENOSPC/);
    const waits = await house.submit({ command: house.counter(3) });
    await until('word of it', 5000, () => house.log('one.log').includes('No space left'));
    const ended = await house.over(runs);
    assert.deepEqual([ended.state, ended.epoch], ['succeeded', 1]);
    fs.rmSync(ballast);
    assert.equal((await house.over(waits)).state, 'succeeded');
    assert.equal(house.agents.get('one').child.exitCode, null);
    assert.equal(house.violations(), '');
  } finally {
    unmount();
  }
}));

test('two Forges on one machine, with nodes and jobs of the same names: neither touches what is the other\'s', () => inHouse([], (ours) => inHouse([], async (theirs) => {
  for (const house of [ours, theirs]) house.startAgent('one', 1);
  const ids = [];
  for (const house of [ours, theirs]) ids.push(await house.submit({ command: house.counter(house === ours ? 40 : 10, 0.05) }));
  assert.equal(ids[0], ids[1]);
  assert.equal((await theirs.over(ids[1])).state, 'succeeded');
  assert.equal((await ours.over(ids[0])).state, 'succeeded');
  assert.deepEqual(ours.state(ids[0], 'epochs'), ['1']);
})));

test('a node whose check fails is emptied, and comes back when it has proven itself', () => inHouse([], async (house) => {
  const bad = path.join(house.dir, 'bad');
  house.startAgent('one', 1, [...noProcessesSaved, '--check', `test ! -e ${bad}`, '--check-every-ms', '400']);
  await until('it to be up', 10000, async () => (await house.api('GET', 'state')).totals.devices === 1);
  const id = await house.submit({ command: house.counter(60, 0.1), stop: { grace_s: 5, cost_s: 0 } });
  await until('it to run', 10000, async () => (await house.job(id)).state === 'running');
  fs.writeFileSync(bad, '');
  await until('quarantine', 15000, async () => ['quarantined', 'validating', 'repair'].includes((await house.api('GET', 'state')).nodes[0].state));
  house.startAgent('two', 1);
  await until('the job to run elsewhere', 15000, async () => (await house.job(id)).where === 'two');
  fs.rmSync(bad);
  house.cli('resume', 'one');
  await until('the node to be well', 15000, async () => (await house.api('GET', 'state')).nodes[0].state === 'up');
  assert.match(house.cli('events'), /node one is quarantined now\n[^]*node one is healthy now/);
  assert.equal((await house.api('GET', 'state')).nodes[0].lemon > 0.9, true);
  assert.equal((await house.over(id)).state, 'succeeded');
  assert.equal(house.violations(), '');
}));

test('help teaches', () => {
  const help = spawnSync(hearth, ['forge', '--help'], { encoding: 'utf8' }).stdout;
  for (const word of ['up', 'submit', 'explain', 'docs/forge.md']) assert.match(help, new RegExp(word));
  assert.doesNotMatch(help, /keeper/);
});
