// Two regions, each a real Slurm controller with two nodes of two GPUs, below one Forge: jobs come and go through both, and everything
// that can be killed is killed while they run.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { House, sleep, until } from '../forge/house.mjs';
import { Munge, Region, unpackSlurm } from './cluster.mjs';

const slow = process.env.HEARTH_SLOW !== undefined;
const slurm = slow ? unpackSlurm() : { why: 'slow tier' };
const skip = slurm.why ?? false;
if (skip) console.log(`  skipped: ${skip}`);
const seed = Number(process.env.HEARTH_SEED ?? Date.now() % 100000);

const names = ['north', 'south'];
const fleet = `
[[region]]
name = "north"
[[region]]
name = "south"
[[kind]]
name = "gpu"
[[cluster]]
name = "hall-north"
region = "north"
[[cluster]]
name = "hall-south"
region = "south"
[[virtual_cluster]]
name = "default"
`;

let house;
let munge;
const regions = new Map();

function startBridge(name) {
  const region = regions.get(name);
  const words = ['forge', 'slurm', '--url', house.url, '--token-file', path.join(house.data, 'forge.token'), '--cluster', `hall-${name}`,
    '--state', path.join(house.dir, `bridge-${name}`), '--slurm-conf', region.conf, '--slurm-bin', region.bin, '--gres', 'gpu', '--start-s', '40'];
  const child = house.start(words, `bridge-${name}.log`, region.env);
  house.agents.set(`bridge-${name}`, { child });
}

const bridge = (name) => house.agents.get(`bridge-${name}`).child;
const inRegion = (name) => ({ regions: [name], locality: 'node' });

before(async () => {
  if (skip) return;
  house = new House();
  const file = path.join(house.dir, 'fleet.toml');
  fs.writeFileSync(file, fleet);
  house.flags = ['--lease-ms', '12000', '--fleet', file];
  munge = new Munge(slurm.root, house.dir);
  await munge.start();
  for (const name of names) {
    regions.set(name, new Region(slurm.root, munge, house.dir, name, 2, 2));
    await regions.get(name).start();
  }
  await house.startServer();
  names.forEach(startBridge);
  await until('all devices', 40000, async () => (await house.api('GET', 'state')).totals.devices === 8);
});

after(async () => {
  for (const region of regions.values()) region.stop();
  munge?.stop();
  await house?.close();
});

function tell(error) {
  const tail = (file) => fs.readFileSync(file, 'utf8').split('\n').slice(-25).join('\n');
  for (const name of fs.readdirSync(house.dir).filter((entry) => entry.endsWith('.log'))) error.message += `\n--- ${name}\n${tail(path.join(house.dir, name))}`;
  for (const region of regions.values()) error.message += `\n--- slurmctld ${region.name}\n${tail(path.join(region.dir, 'slurmctld.log'))}`;
  return error;
}

const inTest = (body) => ({ skip, timeout: 400000, fn: () => body().catch((error) => { throw tell(error); }) });
const slurmTest = (name, body) => { const { fn, ...options } = inTest(body); test(name, options, fn); };

slurmTest('a job runs under Slurm: its devices, its log, its exit codes', async () => {
  const id = await house.submit({
    command: ['bash', '-c', 'echo rank $HEARTH_RANK of $HEARTH_WORLD_SIZE on $SLURMD_NODENAME, job $SLURM_JOB_ID, devices $HEARTH_DEVICES; sleep 3'],
    workers: { min: 2 }, place: inRegion('south'),
  });
  const listed = await until('Slurm to know it', 30000, () => regions.get('south').slurm('squeue', '-h', '-o', '%j %k %T %b').trim() || null);
  assert.match(listed, new RegExp(`^hearth-[0-9a-f]{8}-south[01]-\\d+-${id}\\.1 forge job ${id} epoch 1 \\w+ gres:gpu:2$`));
  assert.equal((await house.over(id)).state, 'succeeded');
  for (const rank of [0, 1]) {
    const log = await until('its log', 10000, () => house.cli('logs', String(id), '--rank', String(rank)) || null);
    assert.match(log, new RegExp(`^rank ${rank} of 2 on south[01], job \\d+, devices ${rank}\n`));
  }
  const failed = await house.over(await house.submit({ command: ['bash', '-c', 'echo no; exit 7'], retries: 1, place: inRegion('north') }));
  assert.equal(failed.state, 'failed');
  assert.equal(failed.failures, 2);
  assert.match(house.cli('logs', String(failed.id)), /no\n/);
});

slurmTest('Forge holds the queue: Slurm is given what starts now, and nothing else', async () => {
  const ids = [];
  for (let i = 0; i < 12; ++i) ids.push(await house.submit({ command: ['sleep', '4'], place: inRegion('north') }));
  let most = 0;
  const done = Promise.all(ids.map((id) => house.over(id, 90000)));
  let over = false;
  done.then(() => { over = true; }, () => { over = true; });
  while (!over) {
    most = Math.max(most, regions.get('north').slurm('squeue', '-h', '-t', 'PD,CF,R', '-o', '%i').trim().split('\n').filter(Boolean).length);
    await sleep(500);
  }
  for (const job of await done) assert.equal(job.state, 'succeeded');
  // Four devices; one more for each while its predecessor is still completing.
  assert.ok(most <= 8, `${most} jobs in Slurm at once`);
});

slurmTest('a job is preempted: asked through Slurm, it saves, and goes on later', async () => {
  const basic = await house.submit({ command: house.counter(60, 0.1), tier: 'basic', place: inRegion('north'), stop: { grace_s: 10, cost_s: 0 }, workers: { min: 2, process: 'per-node' } });
  await until('some steps', 30000, () => Number(house.state(basic, 'n')[0] ?? 0) >= 5);
  const premium = await house.submit({ command: ['sleep', '1'], tier: 'premium', place: { regions: ['north'] }, workers: { min: 4 } });
  assert.equal((await house.over(premium, 60000)).state, 'succeeded');
  const job = await house.over(basic, 90000);
  assert.equal(job.state, 'succeeded');
  assert.equal(job.starts, 2);
  assert.match(house.cli('events', String(basic)), /ended on north[01]: saved/);
});

slurmTest('cancelled in Forge, cancelled in Slurm, drained in Slurm', async () => {
  const north = regions.get('north');
  const cancelled = await house.submit({ command: ['sleep', '600'], place: inRegion('north'), stop: { grace_s: 2 } });
  await until('it runs in Slurm', 30000, () => north.slurm('squeue', '-h', '-t', 'R', '-o', '%j').includes(`-${cancelled}.`));
  house.cli('cancel', String(cancelled));
  assert.equal((await house.over(cancelled, 20000)).state, 'cancelled');
  await until('Slurm to be empty', 20000, () => north.slurm('squeue', '-h').trim() === '');

  // Somebody takes it away in Slurm: it is asked to save, and runs again under a new epoch.
  const id = await house.submit({ command: house.counter(40, 0.1), place: inRegion('north'), stop: { grace_s: 5, cost_s: 0 }, retries: 0 });
  await until('some steps', 30000, () => Number(house.state(id, 'n')[0] ?? 0) >= 3);
  north.slurm('scancel', north.slurm('squeue', '-h', '-o', '%i').trim().split('\n')[0]);
  assert.equal((await house.over(id, 60000)).state, 'succeeded');
  assert.deepEqual(house.state(id, 'epochs'), ['1', '2']);

  const moved = await house.submit({ command: house.counter(80, 0.1), place: inRegion('north'), stop: { grace_s: 5, cost_s: 0 } });
  await until('some steps', 30000, () => Number(house.state(moved, 'n')[0] ?? 0) >= 3);
  const first = (await house.job(moved)).where;
  north.slurm('scontrol', 'update', `NodeName=${first}`, 'State=DRAIN', 'Reason=test');
  await until('it to leave', 30000, async () => {
    const job = await house.job(moved);
    return job.state === 'running' && job.where !== first;
  });
  north.slurm('scontrol', 'update', `NodeName=${first}`, 'State=RESUME');
  await until('the node to be open', 20000, async () => (await house.api('GET', 'state')).nodes.find((node) => node.name === first).state === 'up');
  assert.equal((await house.over(moved, 60000)).state, 'succeeded');
  assert.equal(house.violations(), '');
});

slurmTest('what Slurm does not give is said where its owner reads it', async () => {
  const half = await house.over(await house.submit({ command: ['true'], workers: { share: 0.5 }, retries: 0, place: inRegion('south') }));
  assert.equal(half.state, 'failed');
  const log = await until('its log', 10000, () => house.cli('logs', String(half.id)) || null);
  assert.match(log, /Slurm gives whole devices only: ask for share = 1/);
});

slurmTest('a node of Slurm dies: its job runs again elsewhere, and never twice at once', async () => {
  const south = regions.get('south');
  const id = await house.submit({ command: house.counter(100, 0.2), place: inRegion('south'), retries: 0 });
  await until('some steps', 30000, () => Number(house.state(id, 'n')[0] ?? 0) >= 3);
  const first = (await house.job(id)).where;
  // As a machine does it: slurmd, the step and the job's own processes at once.
  for (const pid of house.processes(new RegExp(`^${first}$|nodes/${first}/`))) {
    try { process.kill(pid, 'SIGKILL'); } catch { /* it is gone */ }
  }
  south.slurmds.get(first).kill('SIGKILL');
  const job = await house.over(id, 120000);
  assert.equal(job.state, 'succeeded');
  assert.equal(house.violations(), '');
  south.startNode(first);
  await until('the node to be back', 60000, async () => (await house.api('GET', 'state')).nodes.find((node) => node.name === first).state === 'up');
});

slurmTest(`controllers, bridges and the server are killed while jobs run, seed ${seed}: nothing is lost, nothing runs twice`, async () => {
  let state = seed;
  const rand = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const ids = [];
  for (let i = 0; i < 24; ++i) {
    ids.push(await house.submit({
      command: house.counter(10 + Math.floor(rand() * 25), 0.2), retries: 0, key: `storm ${i}`,
      workers: { min: 1 + (i % 2), process: 'per-node' }, place: inRegion(names[i % 2]), stop: { grace_s: 5, cost_s: 0 },
    }));
  }
  const kills = { controllers: 0, bridges: 0, servers: 0 };
  const later = [];
  const end = Date.now() + 60000;
  while (Date.now() < end) {
    await sleep(1000 + rand() * 3000);
    const name = names[Math.floor(rand() * 2)];
    const what = rand();
    if (what < 0.35) {
      regions.get(name).controller.kill('SIGKILL');
      ++kills.controllers;
      await sleep(rand() * 3000);
      regions.get(name).startController();
    } else if (what < 0.75) {
      bridge(name).kill('SIGKILL');
      ++kills.bridges;
      await sleep(rand() * 4000);
      startBridge(name);
    } else {
      house.server.kill('SIGKILL');
      ++kills.servers;
      await sleep(rand() * 2000);
      await house.startServer();
    }
  }
  for (const id of ids) {
    const job = await house.over(id, 180000);
    assert.equal(job.state, 'succeeded', `job ${id}`);
    const epochs = house.state(id, 'epochs').map(Number);
    assert.equal(new Set(epochs).size, epochs.length, `job ${id}: an epoch began twice: ${epochs}`);
    assert.equal(epochs.at(-1), job.epoch);
    const ends = house.state(id, 'done');
    assert.equal(ends.at(-1), `epoch ${job.epoch}`);
    assert.equal(new Set(ends).size, ends.length);
  }
  assert.equal(house.violations(), '');
  const again = ids.length && (await Promise.all(ids.map((id) => house.job(id)))).filter((job) => job.starts > 1).length;
  console.log(`  killed ${kills.controllers} controllers, ${kills.bridges} bridges, ${kills.servers} servers; ${again} of ${ids.length} jobs began again`);
});
