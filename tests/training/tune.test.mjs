import assert from 'node:assert';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import {
  checkpoints, complete, curve, dispose, folder, lastStep, log, prepareBase, prepareData, runThroughDeaths, start, stepsOfDeaths, stopped,
  until, writeTuneConfig,
} from './job.mjs';

before(async () => {
  prepareData();
  await prepareBase();
});
after(dispose);

const adapterOf = (config) => fs.readFileSync(path.join(config.out, 'adapter_model.safetensors'));

// Every file of the base, with the times at which it was changed.
const stateOfBase = () => fs.readdirSync(path.join(folder, 'base/model')).map((name) => {
  const file = path.join(folder, 'base/model', name);
  return { name, changed: fs.statSync(file).mtimeMs, bytes: fs.readFileSync(file).toString('base64') };
});

for (const [name, changes] of Object.entries({
  chats: {},
  preferences: { 'method.name': 'dpo', 'data.train': ['pairs.jsonl'], 'adapter.use_dora': true, 'model.base': 'q8' },
})) {
  test(`${name}: killed with signal 9 at random steps, curve and adapter are the undisturbed ones bit for bit`, async () => {
    const base = stateOfBase();
    const whole = writeTuneConfig(`${name}-whole`, { 'schedule.steps': stepsOfDeaths, ...changes });
    const killed = writeTuneConfig(`${name}-killed`, { 'schedule.steps': stepsOfDeaths, ...changes });
    await complete(whole);
    await runThroughDeaths(killed, [], (job) => process.kill(job.pid, 'SIGKILL'));
    assert.equal(curve(whole).length, stepsOfDeaths);
    assert.deepEqual(curve(killed), curve(whole));
    assert.ok(curve(whole).at(-1).loss < curve(whole)[0].loss, 'it learned nothing');
    assert.deepEqual(adapterOf(killed), adapterOf(whole));
    assert.equal(checkpoints(killed).length, 1);
    assert.deepEqual(stateOfBase(), base, 'the base was touched');
  });
}

test('SIGTERM leaves a checkpoint, an exit status of its own, and no adapter; the same command goes on', async () => {
  const whole = writeTuneConfig('stop-whole', { 'run.checkpoint_every': 0 });
  const config = writeTuneConfig('stop', { 'run.checkpoint_every': 0 });
  await complete(whole);
  for (const signal of ['SIGTERM', 'SIGINT']) {
    const job = start(config);
    const target = lastStep(config) + 5;
    assert.ok(await until(job, () => lastStep(config) >= target), job.said());
    process.kill(job.pid, signal);
    const end = await job.ended;
    assert.equal(end.code, stopped, end.said);
    assert.match(end.said, /stopped; the same command goes on/);
    assert.equal(Number(checkpoints(config).at(-1).slice(5)), lastStep(config));
    assert.ok(!fs.existsSync(path.join(config.out, 'adapter_model.safetensors')));
  }
  const { said } = await complete(config);
  assert.match(said, /goes on after step \d+/);
  assert.deepEqual(curve(config), curve(whole));
});

test('what it says and logs on the way', async () => {
  const config = writeTuneConfig('said', { 'data.validation_share': 0.1, 'run.validate_every': 20 });
  const { said } = await complete(config);
  assert.match(said, /step 10\/40 {2}loss \d\.\d{4} {2}lr \S+ {2}norm \S+ {2}\d+ tok\/s {2}\d+% of peak {2}ETA \d+m\d\ds\n/);
  assert.match(said, /memory: .* at the peak; planned .*weights .*activations/);
  for (const line of log(config).filter((each) => 'loss' in each)) {
    for (const key of ['step', 'loss', 'learning_rate', 'tokens', 'tokens_per_second', 'share_of_peak', 'grad_norm', 'epoch']) {
      assert.ok(Number.isFinite(line[key]), `${key} of ${JSON.stringify(line)}`);
    }
  }
  assert.deepEqual(log(config).filter((line) => 'validation_loss' in line).map((line) => line.step), [20, 40]);
});

test('a second process in the same folder is refused, and told who works there', async () => {
  const config = writeTuneConfig('shared', { 'schedule.steps': 100000 });
  const job = start(config);
  await until(job, () => checkpoints(config).length > 0);
  const end = await start(config).ended;
  assert.equal(end.code, 1);
  assert.match(end.said, new RegExp(`${config.out}: another process works in this folder \\(.*, process ${job.pid}\\)`));
  process.kill(job.pid, 'SIGTERM');
  assert.equal((await job.ended).code, stopped);
});

// A limit on the size of files stands for the full disk.
test('a full disk costs checkpoints, not the job; but a stopped job says that its last one is lost', async () => {
  const config = writeTuneConfig('full', { 'schedule.steps': 100000 });
  const job = start(config);
  await until(job, () => checkpoints(config).length > 0);
  execFileSync('prlimit', ['--pid', String(job.pid), '--fsize=2000:']);
  await until(job, () => (job.said().match(/no checkpoint of step/g) ?? []).length >= 2);
  const [kept] = checkpoints(config).slice(-1);
  process.kill(job.pid, 'SIGTERM');
  const end = await job.ended;
  assert.equal(end.code, 1, end.said);
  assert.match(end.said, /the checkpoint of step \d+ could not be written; make room and run the same command again/);
  assert.deepEqual(checkpoints(config), [kept]);
});

test('a checkpoint of another adapter is refused by name', async () => {
  const config = writeTuneConfig('other', { 'schedule.steps': 6 });
  await complete(config);
  const end = await start(writeTuneConfig('other', { 'schedule.steps': 6, 'adapter.r': 2 })).ended;
  assert.equal(end.code, 1);
  assert.match(end.said, /belongs to a model of another shape; choose another run\.out/);
});
