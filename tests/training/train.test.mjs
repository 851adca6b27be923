import assert from 'node:assert';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import {
  alive, below, checkpoints, complete, curve, dispose, folder, lastStep, log, prepareData, ranksOf, runThroughDeaths, start, stepsOfDeaths,
  stopped, until, writeConfig,
} from './job.mjs';

before(prepareData);
after(dispose);

test('killed with signal 9 at random steps, the curve is the undisturbed one bit for bit', async () => {
  const whole = writeConfig('whole', { 'schedule.steps': stepsOfDeaths });
  const killed = writeConfig('killed', { 'schedule.steps': stepsOfDeaths });
  await complete(whole);
  await runThroughDeaths(killed, [], (job) => process.kill(job.pid, 'SIGKILL'));
  assert.equal(curve(whole).length, stepsOfDeaths);
  assert.deepEqual(curve(killed), curve(whole));
  assert.deepEqual(fs.readFileSync(path.join(killed.out, 'model/model.safetensors')), fs.readFileSync(path.join(whole.out, 'model/model.safetensors')));
  assert.ok(checkpoints(killed).length <= 2);
});

test('ranks killed at random: the dead one is named, the curve is the undisturbed one bit for bit', async () => {
  const changes = { 'schedule.steps': stepsOfDeaths, 'parallel.zero': 2, 'optimizer.name': 'muon' };
  const whole = writeConfig('ranks-whole', changes);
  const killed = writeConfig('ranks-killed', changes);
  await complete(whole, ['--ranks', '3']);
  const victims = [];
  const said = await runThroughDeaths(killed, ['--ranks', '3'], (job) => {
    const pids = ranksOf(job.pid);
    const rank = below(3);
    victims.push({ rank, pid: pids[rank], pids });
    process.kill(pids[rank], 'SIGKILL');
  });
  said.forEach((text, i) => {
    const { rank, pid, pids } = victims[i];
    assert.match(text, new RegExp(`rank ${rank} \\(pid ${pid}\\) was killed by signal 9`));
    assert.match(text, new RegExp(`hearth: rank \\d: ranks: rank ${rank} \\(.*, pid ${pid}\\) is gone`));
    for (const other of pids) assert.ok(!alive(other), `rank ${other} outlived the run`);
  });
  assert.deepEqual(curve(killed), curve(whole));
});

test('a rank that hangs is named, and the run ends', async () => {
  const config = writeConfig('hung', { 'schedule.steps': 100000, 'parallel.timeout_s': 2 });
  const job = start(config, ['--ranks', '3']);
  await until(job, () => checkpoints(config).length > 0);
  const pids = ranksOf(job.pid);
  process.kill(pids[1], 'SIGSTOP');
  const end = await job.ended;
  assert.equal(end.code, 75);
  assert.match(end.said, new RegExp(`rank 1 \\(.*, pid ${pids[1]}\\) has not arrived at step \\d+, .* for \\d+ s; last heard of \\d+ s ago in .*step \\d+`));
  assert.ok(!alive(pids[1]));
});

test('--restarts goes on by itself after a rank died', async () => {
  const config = writeConfig('restarts', { 'schedule.steps': 30 });
  const job = start(config, ['--ranks', '2', '--restarts', '1']);
  await until(job, () => checkpoints(config).length > 0);
  process.kill(ranksOf(job.pid)[1], 'SIGKILL');
  const end = await job.ended;
  assert.equal(end.code, 0, end.said);
  assert.match(end.said, /start 2 of 2/);
  assert.deepEqual(curve(config).map((line) => line.step), Array.from({ length: 30 }, (_, i) => i + 1));
});

test('SIGTERM leaves a checkpoint, and another number of ranks goes on', async () => {
  const changes = { 'run.precision': 'f32', 'run.checkpoint_every': 0 };
  const whole = writeConfig('other-whole', changes);
  const config = writeConfig('other', changes);
  await complete(whole);
  for (const ranks of ['4', '1', '2']) {
    const job = start(config, ['--ranks', ranks]);
    const target = lastStep(config) + 8;
    await until(job, () => lastStep(config) >= target);
    process.kill(job.pid, 'SIGTERM');
    const end = await job.ended;
    assert.equal(end.code, stopped, end.said);
    assert.match(end.said, /stopped; the same command goes on/);
  }
  await complete(config, ['--ranks', '3']);
  const [a, b] = [curve(whole), curve(config)];
  assert.equal(a.length, b.length);
  a.forEach((line, i) => {
    assert.ok(Math.abs(line.loss - b[i].loss) < 1e-4, `step ${line.step}: ${line.loss} and ${b[i].loss}`);
    assert.equal(line.tokens, b[i].tokens);
  });
});

test('a second process in the same folder is refused, and told who works there', async () => {
  const config = writeConfig('shared', { 'schedule.steps': 100000 });
  const job = start(config, ['--ranks', '2']);
  await until(job, () => checkpoints(config).length > 0);
  for (const flags of [[], ['--ranks', '2']]) {
    const end = await start(config, flags).ended;
    assert.equal(end.code, 1);
    assert.match(end.said, new RegExp(`${config.out}: another process works in this folder \\(.*, process ${job.pid}\\)`));
  }
  process.kill(job.pid, 'SIGKILL');
  await job.ended;
  const next = start(config);
  const step = lastStep(config);
  assert.ok(await until(next, () => lastStep(config) > step), next.said());
  process.kill(next.pid, 'SIGTERM');
  assert.equal((await next.ended).code, stopped);
});

test('over MPI: the bits of --ranks', async (t) => {
  const plugin = path.join(path.dirname(process.env.HEARTH), 'libhearth_mpi.so');
  if (spawnSync('mpirun', ['--version']).error || !fs.existsSync(plugin)) {
    t.diagnostic('skip: no mpirun, or no libhearth_mpi.so');
    return;
  }
  const env = { OMPI_ALLOW_RUN_AS_ROOT: '1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1' };
  const mpirun = ['mpirun', '-n', '3', '--oversubscribe'];
  const local = writeConfig('local', { 'parallel.zero': 2 });
  const mpi = writeConfig('mpi', { 'parallel.zero': 2 });
  await complete(local, ['--ranks', '3']);
  await complete(mpi, [], mpirun, env);
  assert.equal(curve(mpi).length, 40);
  assert.deepEqual(curve(mpi), curve(local));

  const hung = writeConfig('mpi-hung', { 'schedule.steps': 100000, 'parallel.timeout_s': 2 });
  const job = start(hung, [], mpirun, env);
  await until(job, () => lastStep(hung) >= 4);
  const ranks = execFileSync('pgrep', ['-f', `train ${hung.file}$`], { encoding: 'utf8' }).trim().split('\n').map(Number)
    .filter((pid) => pid !== job.pid && fs.readFileSync(`/proc/${pid}/environ`, 'utf8').includes('OMPI_COMM_WORLD_RANK=2\0'));
  assert.equal(ranks.length, 1);
  process.kill(ranks[0], 'SIGSTOP');
  const end = await job.ended;
  assert.notEqual(end.code, 0);
  assert.match(end.said, new RegExp(`rank 2 \\(.*, pid ${ranks[0]}\\) has not arrived at (the checkpoint of )?step \\d+`));
});

test('the program starts without Open MPI, and says what mpirun would need', () => {
  const needed = execFileSync('ldd', [process.env.HEARTH], { encoding: 'utf8' });
  assert.ok(!/mpi/.test(needed), needed);
  const alone = path.join(folder, 'elsewhere');
  fs.mkdirSync(alone);
  fs.copyFileSync(process.env.HEARTH, path.join(alone, 'hearth'));
  const config = writeConfig('no-mpi');
  const result = spawnSync(path.join(alone, 'hearth'), ['train', config.file], { encoding: 'utf8', env: { ...process.env, OMPI_COMM_WORLD_SIZE: '2' } });
  assert.equal(result.status, 1);
  assert.match(result.stderr, /needs Open MPI 4 .*--ranks N/);
});

test('a damaged checkpoint is passed over with a word', async () => {
  const config = writeConfig('damaged', { 'schedule.steps': 12 });
  await complete(config);
  const before = curve(config);
  const shard = path.join(config.out, 'checkpoints/chunks/shard-0000/12.1.pack');
  const bytes = fs.readFileSync(shard);
  bytes[bytes.length >> 1] ^= 1;
  fs.writeFileSync(shard, bytes);
  const { said } = await complete(config);
  assert.match(said, /checkpoint passed over .*step-00000012.*12\.1\.pack.*are not what was written/);
  assert.match(said, /goes on after step 9/);
  assert.deepEqual(curve(config), before);
});

// A limit on the size of files stands for the full disk: it needs no mount, and can be lifted.
test('a full disk costs checkpoints, not the run', async () => {
  const config = writeConfig('full', { 'schedule.steps': 100000, 'run.checkpoint_every': 20 });
  const job = start(config);
  await until(job, () => checkpoints(config).length >= 2);
  execFileSync('prlimit', ['--pid', String(job.pid), `--fsize=${20000}:`]);
  const [kept] = checkpoints(config).slice(-1);
  await until(job, () => (job.said().match(/warning: the checkpoint of step/g) ?? []).length >= 2);
  assert.ok(checkpoints(config).includes(kept));
  const logged = lastStep(config);
  execFileSync('prlimit', ['--pid', String(job.pid), '--fsize=unlimited:']);
  const stalled = lastStep(config);
  assert.ok(stalled >= logged);
  await until(job, () => checkpoints(config).at(-1) > kept);
  process.kill(job.pid, 'SIGTERM');
  const end = await job.ended;
  assert.equal(end.code, stopped, end.said);
  assert.match(end.said, /could not be written .*the run goes on, and what was saved before stays/);
  const steps = curve(config).map((line) => line.step);
  assert.deepEqual(steps, Array.from({ length: steps.length }, (_, i) => i + 1), 'a line of the log is lost');
  assert.ok(!fs.readdirSync(path.join(config.out, 'checkpoints')).some((name) => name.endsWith('.part')));
});

test('samples on the way are the same each time and change no bit of the curve', async () => {
  const changes = { 'schedule.steps': 20, 'run.checkpoint_every': 0 };
  const silent = writeConfig('silent', changes);
  const samples = { ...changes, 'run.sample_every': 5, 'run.sample_prompts': ['The fox', 'My sister'], 'run.sample_tokens': 12 };
  const one = writeConfig('sampling', samples);
  const two = writeConfig('sampling-again', { ...samples, 'run.precision': 'bf16' });
  await complete(silent);
  const { said } = await complete(one);
  await complete(two);
  assert.deepEqual(curve(one), curve(silent));
  const texts = (config) => log(config).filter((line) => 'sample' in line).map(({ step, prompt, sample }) => ({ step, prompt, sample }));
  assert.equal(texts(one).length, 8);
  assert.deepEqual(texts(one), texts(two));
  assert.match(said, /step 20 {2}sample {2}The fox│/);
});
