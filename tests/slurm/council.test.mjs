// A Slurm region below several servers with a real etcd: the one that decides is killed and put to sleep, the bridge too, while jobs run.
// Nothing is lost, nothing runs twice.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';

import { findEtcd, inCouncil } from '../forge/etcd.mjs';
import { sleep, until } from '../forge/house.mjs';
import { Munge, Region, unpackSlurm } from './cluster.mjs';

const slow = process.env.HEARTH_SLOW !== undefined;
const slurm = slow ? unpackSlurm() : { why: 'slow tier' };
const { program, why } = findEtcd(slow);
const skip = slurm.why ?? why ?? false;
if (skip) console.log(`  skipped: ${skip}`);

function startBridge(council, region) {
  const words = ['forge', 'slurm', '--url', council.url, '--token', council.token, '--state', path.join(council.dir, 'bridge'),
    '--slurm-conf', region.conf, '--slurm-bin', region.bin, '--gres', 'gpu', '--start-s', '40'];
  const child = council.start(words, 'bridge.log', region.env);
  council.agents.set('bridge', { child });
  return child;
}

async function inRegion(council, body) {
  const munge = new Munge(slurm.root, council.dir);
  await munge.start();
  const region = new Region(slurm.root, munge, council.dir, 'north', 2, 2);
  try {
    await region.start();
    await body(region);
  } finally {
    region.stop();
    munge.stop();
  }
}

test('servers and the bridge are killed and put to sleep while Slurm jobs run: nothing is lost, nothing runs twice', { skip, timeout: 400000 }, () =>
  inCouncil({ program, servers: 2, flags: ['--lease-ms', '16000', '--etcd-lease-s', '4'] }, (council) => inRegion(council, async (region) => {
    let bridge = startBridge(council, region);
    await until('all devices', 60000, async () => (await council.api('GET', 'state')).totals.devices === 4);
    const ids = [];
    for (let i = 0; i < 10; ++i) {
      ids.push(await council.submit({
        command: council.counter(60, 0.2), retries: 0, key: `job ${i}`, workers: { min: 1 + (i % 2), process: 'per-node' },
        place: { locality: 'node' }, stop: { grace_s: 5, cost_s: 0 },
      }));
    }
    await until('some to run', 60000, () => ids.filter((id) => Number(council.state(id, 'n')[0] ?? 0) >= 3).length >= 2);
    const another = (before) => until('another server to decide', 40000, async () => { const leader = await council.leader(); return leader && leader !== before; });

    const first = await council.leader();
    council.servers.get(first).child.kill('SIGKILL');
    await another(first);
    await council.startOne(first);

    const second = await council.leader();
    council.servers.get(second).child.kill('SIGSTOP');
    await another(second);
    await sleep(3000);
    council.servers.get(second).child.kill('SIGCONT');

    // The bridge comes back while nobody decides.
    const third = await council.leader();
    bridge.kill('SIGKILL');
    council.servers.get(third).child.kill('SIGKILL');
    bridge = startBridge(council, region);
    await another(third);
    await council.startOne(third);

    for (const id of ids) {
      const job = await council.over(id, 240000);
      assert.equal(job.state, 'succeeded', `job ${id}`);
      const epochs = council.state(id, 'epochs').map(Number);
      assert.equal(new Set(epochs).size, epochs.length, `job ${id}: an epoch began twice: ${epochs}`);
      assert.equal(epochs.at(-1), job.epoch);
      assert.deepEqual(council.state(id, 'done'), [`epoch ${job.epoch}`]);
    }
    assert.equal(council.violations(), '');
    const again = (await Promise.all(ids.map((id) => council.job(id)))).filter((job) => job.starts > 1).length;
    console.log(`  below three servers' reigns ${ids.length} jobs ended, ${again} of them began again`);
  })));
