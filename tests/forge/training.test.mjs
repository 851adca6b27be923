// Training runs as jobs of Forge: they save themselves when they are asked to, and what they have learnt in the end is what they learn
// undisturbed.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';

import { hearth, inHouse, until } from './house.mjs';

process.env.HEARTH = hearth;
const training = await import('../training/job.mjs');
const slow = process.env.HEARTH_SLOW !== undefined;
const seed = Number(process.env.HEARTH_SEED ?? Date.now() % 100000);

training.prepareData();
after(() => training.dispose());

function random(state) {
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const trainJob = (training, config, changes = {}) => ({
  name: 'train', type: 'training', directory: training.folder, place: { locality: 'node' }, workers: { process: 'per-node' },
  command: [hearth, '--log-level', 'error', 'train', path.basename(config.file), '--ranks', '{workers}'],
  stop: { grace_s: 60, cost_s: 0 }, ...changes,
});

test(`a training job loses no step when it is preempted and moved, and none of its bits when it is killed, seed ${seed}`, async () => {
  const kills = slow ? 20 : 3;
  const changes = { 'schedule.steps': 100 + 100 * kills, 'run.checkpoint_every': 5 };
  const [forged, plain] = ['forged', 'plain'].map((name) => training.writeConfig(name, changes));
  await inHouse([], async (house) => {
    for (const name of ['one', 'two']) house.startAgent(name, 1);
    const id = await house.submit(trainJob(training, forged, { tier: 'basic', retries: 1000 }));
    const step = () => training.lastStep(forged);
    // Moved: whatever it had done when it was asked, it goes on from there.
    await until('some steps', 60000, () => step() >= 7);
    const first = (await house.job(id)).where;
    house.cli('drain', first);
    await until('it to be asked', 30000, async () => (await house.job(id)).starts === 2);
    const saved = training.checkpoints(forged).at(-1);
    await until('it to go on', 60000, () => step() > Number(saved.slice(5)));
    house.cli('resume', first);
    assert.match(house.cli('events', String(id)), /ended on \w+: saved/);
    // Killed.
    const rand = random(seed);
    for (let death = 0; death < kills; ++death) {
      const target = step() + 1 + Math.floor(rand() * 10);
      await until(`step ${target}`, 60000, async () => step() >= target || (await house.job(id)).state === 'succeeded');
      assert.notEqual((await house.job(id)).state, 'succeeded', 'it ended before it could be killed');
      const found = await until('its process', 20000, () => {
        const here = house.inFolder(training.folder);
        const pids = house.processesOf((words) => words.includes('train') && words.includes(path.basename(forged.file))).filter((pid) => here.includes(pid));
        return pids.length > 0 && pids;
      });
      try { process.kill(found[Math.floor(rand() * found.length)], 'SIGKILL'); } catch { /* it is gone */ }
    }
    const job = await house.over(id, 300000);
    assert.equal(job.state, 'succeeded');
    assert.ok(job.failures >= kills * 0.8, `${job.failures} failures of ${kills} kills`);
    await training.complete(plain);
    assert.deepEqual(training.curve(forged), training.curve(plain), 'the curve, every bit of it');
    assert.equal(training.curve(plain).length, changes['schedule.steps']);
    console.log(`  killed ${job.failures} times, moved once: ${training.curve(forged).length} steps as undisturbed`);
  });
});

test('a training job is resized in the middle: it saves, goes on with two ranks, and its losses are those of an undisturbed run', async () => {
  const changes = { 'schedule.steps': 300, 'run.checkpoint_every': 100 };
  const [forged, plain] = ['resized', 'whole'].map((name) => training.writeConfig(name, changes));
  await inHouse([], async (house) => {
    house.startAgent('one', 2);
    const id = await house.submit({
      name: 'train', type: 'training', directory: training.folder, place: { locality: 'node' }, workers: { min: 1, process: 'per-node' },
      command: [hearth, '--log-level', 'error', 'train', path.basename(forged.file), '--ranks', '{workers}'], stop: { grace_s: 60 },
    });
    const lines = (out) => {
      const file = path.join(out, 'log.jsonl');
      const text = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
      return text.trim().split('\n').filter(Boolean).map((line) => JSON.parse(line)).filter((line) => line.loss !== undefined);
    };
    await until('some steps', 60000, () => lines(forged.out).length >= 3);
    house.cli('resize', String(id), '2');
    const job = await house.over(id, 120000);
    assert.equal(job.state, 'succeeded');
    assert.equal(job.starts, 2);
    assert.match(house.cli('events', String(id)), /ended on one: saved/);
    spawnSync(hearth, ['--log-level', 'error', 'train', plain.file], { stdio: 'ignore' });
    const undisturbed = lines(plain.out);
    assert.equal(undisturbed.length, 300);
    const worst = Math.max(...lines(forged.out).map((line, i) => Math.abs(line.loss - undisturbed[i].loss)));
    assert.ok(worst < 0.05, `losses differ by ${worst}`);
  });
});
