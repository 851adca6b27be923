// A machine with a bad cable, among others: the agents find it by trying the ways to each other, and the scheduler takes it out.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import { until } from './house.mjs';
import { noMachines, onMachines } from './machines.mjs';

const skip = noMachines ?? false;
if (skip) console.log(`  skipped: ${skip}`);

test('a machine whose cable is slow is told from those at the other ends, emptied, and comes back when it is mended', { skip, timeout: 180000 }, (context) =>
  onMachines([], async (house) => {
    const names = ['one', 'two', 'three'];
    for (const name of names) house.startAgent(name, 1, ['--check-every-ms', '500']);
    const node = async (name) => (await house.api('GET', 'state')).nodes.find((each) => each.name === name);
    const learnt = (name) => {
      const file = path.join(house.dir, name, 'baselines');
      return fs.existsSync(file) && /bandwidth to cpu \| (\S+ ){4}\S+$/m.test(fs.readFileSync(file, 'utf8'));
    };
    await until('all to know what is usual', 60000, () => names.every(learnt));
    const id = await house.submit({ command: house.counter(100000, 0.1), place: { locality: 'node' }, stop: { grace_s: 2, cost_s: 0 } });
    await until('it to run', 20000, async () => (await house.job(id)).state === 'running');
    const bad = (await house.job(id)).where;
    if (!house.slow(bad)) return context.skip('no tbf in this kernel (tc qdisc)');
    await until('the slow one to be taken out', 90000, async () => ['quarantined', 'validating', 'repair'].includes((await node(bad)).state));
    assert.match((await node(bad)).health_why, /^links?: .*; this hardware does/);
    await until('the job to run elsewhere', 30000, async () => { const job = await house.job(id); return job.state === 'running' && job.where !== bad; });
    for (const name of names.filter((each) => each !== bad))
      await until(`${name} to be cleared`, 60000, async () => { const { state, health } = await node(name); return state === 'up' && health === 'healthy'; });
    const { events } = await house.api('GET', 'events?limit=1000');
    assert.match(events.map((event) => event.text).join('\n'), new RegExp(`node ${bad} is suspect now[^]*node ${bad} is quarantined now`));
    house.quick(bad);
    await house.api('POST', `nodes/${bad}/resume`);
    await until('it to be back', 60000, async () => (await node(bad)).state === 'up');
  }));
