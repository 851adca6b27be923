// Several servers with a real etcd, and everything is killed or put to sleep at random while jobs run. Nothing is lost, nothing runs twice.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { findEtcd, inCouncil } from './etcd.mjs';
import { sleep, until } from './house.mjs';

const slow = process.env.HEARTH_SLOW !== undefined;
const seed = Number(process.env.HEARTH_SEED ?? Date.now() % 100000);
const { program, why } = findEtcd(slow);
if (why) console.log(`  skipped: ${why}`);
const skip = why ?? false;
const flags = ['--lease-ms', '24000', '--etcd-lease-s', '3'];

function random(state) {
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

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
      await disturb(council, rand, counts, Date.now() + (slow ? 90000 : 15000));
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
