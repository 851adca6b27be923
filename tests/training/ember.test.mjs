// The recipe of Ember from end to end, at a thousandth of its size. Its source is a storyteller; here Ember itself is one.
import assert from 'node:assert';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';

import { dispose, folder, slow } from './job.mjs';

const root = path.join(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), '../..');
const recipe = path.join(root, 'models/ember/recipe');
const work = path.join(folder, 'ember');
const stories = 120;
const make = ['bash', [path.join(recipe, 'make'), path.join(root, 'models/ember'), String(stories)]];
const environment = { ...process.env, WORK: work };

after(dispose);

const run = (command, args, changes = {}) => spawnSync(command, args, { env: { ...environment, ...changes }, encoding: 'utf8' });
const lines = (name) => fs.readFileSync(path.join(work, name), 'utf8').split('\n').filter(Boolean);

// Waits until `there()`, then ends the script and what it runs.
async function killedOnce(there) {
  const job = spawn(...make, { env: environment, stdio: 'ignore', detached: true });
  const ended = new Promise((resolve) => job.once('close', resolve));
  let over = false;
  ended.then(() => { over = true; });
  while (!over && !there()) await new Promise((resolve) => { setTimeout(resolve, 5); });
  assert.ok(!over, 'it ended before it could be killed');
  process.kill(-job.pid, 'SIGKILL');
  await ended;
}

test('one command makes a model, killed on the way or not', { skip: !slow && 'the slow tier: ./dev test training --slow' }, async () => {
  await killedOnce(() => fs.existsSync(path.join(work, 'parts/generated-0000.jsonl.new')));
  await killedOnce(() => fs.existsSync(path.join(work, 'stories')));
  const made = run(...make);
  assert.equal(made.status, 0, made.stderr);
  assert.equal(lines('prompts.jsonl').length, stories);
  assert.equal(lines('stories-held.jsonl').length, Math.floor(stories / 48));
  assert.ok(lines('stories-train.jsonl').length > stories / 3, 'most stories came to no end');
  assert.ok(lines('stories-more.jsonl').length > stories / 6);
  assert.ok(lines('run-first/log.jsonl').length >= 3);
  assert.ok(lines('run/log.jsonl').length >= 1);

  const again = run(...make);
  assert.equal(again.status, 0, again.stderr);
  assert.doesNotMatch(again.stderr, /generating|answers/);

  const evaluated = run(process.env.HEARTH, ['eval', path.join(work, 'run/model'), path.join(work, 'stories-held.jsonl')]);
  assert.equal(evaluated.status, 0, evaluated.stderr);
  assert.match(evaluated.stdout, /bits per byte/);

  const out = path.join(folder, 'adapters');
  const adapters = run('bash', [path.join(recipe, 'adapters/make'), path.join(work, 'stories-train.jsonl'), '40'], {
    WORK: path.join(folder, 'adapters-work'), OUT: out,
  });
  assert.equal(adapters.status, 0, adapters.stderr);
  assert.deepEqual(fs.readdirSync(out).sort(), ['moral', 'pirate', 'verse']);
  for (const style of fs.readdirSync(out)) assert.ok(fs.existsSync(path.join(out, style, 'adapter_model.safetensors')));

  const other = run('bash', [make[1][0], make[1][1], '50']);
  assert.equal(other.status, 1);
  assert.match(other.stderr, /was begun with 120 stories/);
});
