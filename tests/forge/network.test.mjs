// Server and agents on machines of their own. Links go down for longer than a lease and come back, and whole machines are torn down with
// everything in them.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { sleep, until } from './house.mjs';
import { counters, noMachines, onMachines } from './machines.mjs';

const slow = process.env.HEARTH_SLOW !== undefined;
const seed = Number(process.env.HEARTH_SEED ?? Date.now() % 100000);
const skip = noMachines ?? false;
if (skip) console.log(`  skipped: ${skip}`);

test('a machine whose link is gone for longer than its lease has killed its work before another starts it, and joins again', { skip, timeout: 180000 }, () =>
  onMachines(['--lease-ms', '4000'], async (house) => {
    house.startAgent('one', 1);
    const id = await house.submit({ command: house.counter(150, 0.1), retries: 100, stop: { grace_s: 2, cost_s: 0 } });
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
    assert.deepEqual(house.state(id, 'epochs').slice(0, 2), ['1', '2']);
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
    const end = Date.now() + (slow ? 90000 : 10000);
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
