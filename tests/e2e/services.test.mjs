// The services of the program, driven by OpenAI's client: files, batches, fine-tuning, adapters, tenants. In between the
// server is killed as hard as it can be, and another one goes on in its folder.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { test } from 'node:test';
import OpenAI, { toFile } from 'openai';
import { startHearthIn, tempFolder } from './server.mjs';

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const clientOf = (server, apiKey = 'none') => new OpenAI({ baseURL: `${server.url}/v1`, apiKey, maxRetries: 0 });
const jsonl = (name, lines) => toFile(Buffer.from(lines.map((line) => JSON.stringify(line)).join('\n')), name);

async function until(look, done, what, seconds = 240) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const seen = await look();
    if (done(seen)) return seen;
    assert.ok(Date.now() < deadline, `not within ${seconds} s: ${what}; last ${JSON.stringify(seen)}`);
    await pause(200);
  }
}

// The same folder under one server after another.
class House {
  constructor(t, ...flags) {
    this.data = tempFolder(t);
    this.flags = flags;
    t.after(() => this.kill());
  }
  async start() {
    this.server = await startHearthIn(this.data, ...this.flags);
    return clientOf(this.server, this.key);
  }
  async kill() {
    this.server?.signal('SIGKILL');
    await this.server?.exited;
    this.server = null;
  }
  cli(...args) {
    const [command, ...rest] = args;
    const action = ['tenants', 'keys'].includes(command) ? [command, rest.shift()] : [command];
    const result = spawnSync(process.env.HEARTH, [...action, '--data-dir', this.data, ...rest], { encoding: 'utf8' });
    assert.equal(result.status, 0, result.stderr);
    return result.stdout.trim();
  }
}

const chats = Array.from({ length: 24 }, (_, i) => ({
  messages: [
    { role: 'user', content: `Tell me about the number ${i}.` },
    { role: 'assistant', content: `Arr, ${i} be a fine number, matey.` },
  ],
}));
const batchLine = (i, more = {}) => ({
  custom_id: `request-${i}`, method: 'POST', url: '/v1/chat/completions',
  body: { messages: [{ role: 'user', content: `Count to ${i}.` }], max_tokens: 24, temperature: 0, ignore_eos: true, ...more },
});

test('services: upload, fine-tune, poll, chat with the result; killed in the middle', async (t) => {
  const house = new House(t, '--tuning-priority', 'normal');
  let client = await house.start();
  const base = (await client.models.list()).data[0].id;
  const file = await client.files.create({ file: await jsonl('chats.jsonl', chats), purpose: 'fine-tune' });
  assert.equal(file.purpose, 'fine-tune');
  const job = await client.fineTuning.jobs.create({
    model: base, training_file: file.id, validation_file: file.id, suffix: 'pirate', seed: 3,
    method: { type: 'supervised', supervised: { hyperparameters: { n_epochs: 8, batch_size: 2 } } },
  });
  assert.equal(job.object, 'fine_tuning.job');
  const look = () => client.fineTuning.jobs.retrieve(job.id);
  await until(look, (seen) => seen.progress.step > 0 || seen.status === 'failed', 'a step is done');
  await house.kill();
  client = await house.start();
  const done = await until(look, (seen) => ['succeeded', 'failed'].includes(seen.status), 'the job is over', 480);
  assert.equal(done.status, 'succeeded', JSON.stringify(done.error));
  assert.match(done.fine_tuned_model, /^ft:ember:default:pirate:/);
  assert.ok(done.trained_tokens > 0);
  const messages = [];
  for await (const event of client.fineTuning.jobs.listEvents(job.id, { limit: 50 })) messages.push(event.message);
  assert.ok(messages.some((text) => /^Step 1\/\d+: training loss=/.test(text)), messages.join('\n'));
  assert.equal(new Set(messages.filter((text) => /^Step \d+\/\d+: training/.test(text))).size,
    messages.filter((text) => /^Step \d+\/\d+: training/.test(text)).length, 'no step is told twice');
  assert.ok(messages.some((text) => /restarted/.test(text)), messages.join('\n'));
  const checkpoints = await client.fineTuning.jobs.checkpoints.list(job.id);
  assert.equal(checkpoints.data[0].fine_tuned_model_checkpoint, done.fine_tuned_model);
  const ask = { model: done.fine_tuned_model, messages: [{ role: 'user', content: 'Tell me about the number 7.' }], max_tokens: 16, temperature: 0 };
  const first = (await client.chat.completions.create(ask)).choices[0].message.content;
  const plain = (await client.chat.completions.create({ ...ask, model: base })).choices[0].message.content;
  assert.notEqual(first, plain, 'it has learned something');
  assert.match(first, /^Arr/);
  assert.ok((await client.models.list()).data.some((model) => model.id === done.fine_tuned_model));
  await house.kill();
  client = await house.start();
  assert.equal((await client.chat.completions.create(ask)).choices[0].message.content, first, 'the same after a restart');
  const table = await (await client.files.content(done.result_files[0])).text();
  assert.match(table, /^step,train_loss,/);
  assert.equal((await client.models.del(done.fine_tuned_model)).deleted, true);
  await assert.rejects(client.chat.completions.create(ask), OpenAI.NotFoundError);
});

test('services: a job on preferences is paused, outlives a kill, and is resumed', async (t) => {
  const house = new House(t, '--tuning-priority', 'normal');
  let client = await house.start();
  const pairs = chats.slice(0, 12).map(({ messages: [question, answer] }) => ({
    input: { messages: [question] }, preferred_output: [answer], non_preferred_output: [{ role: 'assistant', content: 'It is a number.' }],
  }));
  const file = await client.files.create({ file: await jsonl('pairs.jsonl', pairs), purpose: 'fine-tune' });
  const job = await client.fineTuning.jobs.create({
    model: 'ember', training_file: file.id, suffix: 'kind', method: { type: 'dpo', dpo: { hyperparameters: { n_epochs: 20, batch_size: 2 } } },
  });
  const look = () => client.fineTuning.jobs.retrieve(job.id);
  await until(look, (seen) => seen.progress.step > 0 || seen.status === 'failed', 'a step is done');
  assert.equal((await client.fineTuning.jobs.pause(job.id)).status, 'paused');
  await house.kill();
  client = await house.start();
  const paused = await look();
  assert.equal(paused.status, 'paused');
  assert.equal((await client.fineTuning.jobs.resume(job.id)).status, 'queued');
  const done = await until(look, (seen) => ['succeeded', 'failed'].includes(seen.status), 'the job is over', 480);
  assert.equal(done.status, 'succeeded', JSON.stringify(done.error));
  assert.equal(done.progress.step, 120);
  const reply = await client.chat.completions.create({ model: done.fine_tuned_model, messages: pairs[0].input.messages, max_tokens: 8 });
  assert.equal(reply.model, done.fine_tuned_model);
});

test('services: a bad training file fails with its line; a job is cancelled', async (t) => {
  const house = new House(t, '--tuning-priority', 'normal');
  const client = await house.start();
  const upload = async (lines) => (await client.files.create({ file: await jsonl('x.jsonl', lines), purpose: 'fine-tune' })).id;
  const create = async (id, more) => client.fineTuning.jobs.create({ model: 'ember', training_file: id, ...more });
  const look = (job) => () => client.fineTuning.jobs.retrieve(job.id);
  const bad = await create(await upload([chats[0], { messages: [{ role: 'user', content: 'x' }] }]));
  const failed = await until(look(bad), (seen) => seen.status === 'failed', 'it fails');
  assert.match(failed.error.message, /line 2/);
  assert.equal(failed.error.param, 'training_file');
  const long = await create(await upload(chats), { hyperparameters: { n_epochs: 500 } });
  await until(look(long), (seen) => seen.status === 'running', 'it runs');
  assert.equal((await client.fineTuning.jobs.cancel(long.id)).status, 'cancelled');
  assert.equal((await look(long)()).fine_tuned_model, null);
});

test('services: a batch is done once however often the server is killed', async (t) => {
  const count = 60;
  const house = new House(t);
  let client = await house.start();
  const lines = Array.from({ length: count }, (_, i) => batchLine(i));
  lines.push(batchLine(count, { temperature: 9 }));
  const input = await client.files.create({ file: await jsonl('batch.jsonl', lines), purpose: 'batch' });
  let batch = await client.batches.create({ input_file_id: input.id, endpoint: '/v1/chat/completions', completion_window: '24h' });
  for (let life = 0; life < 6 && batch.status !== 'completed'; ++life) {
    await pause(100 + Math.random() * 1500);
    await house.kill();
    client = await house.start();
    const again = await client.batches.retrieve(batch.id);
    assert.ok(again.request_counts.completed >= batch.request_counts.completed, 'nothing is lost');
    batch = again;
  }
  batch = await until(() => client.batches.retrieve(batch.id), (seen) => seen.status === 'completed', 'the batch is over');
  assert.deepEqual(batch.request_counts, { total: count + 1, completed: count, failed: 1 });
  const read = async (id) => (await (await client.files.content(id)).text()).trim().split('\n').map((line) => JSON.parse(line));
  const output = await read(batch.output_file_id);
  assert.deepEqual(new Set(output.map((entry) => entry.custom_id)).size, count);
  assert.equal(output.length, count);
  for (const entry of output) assert.equal(entry.response.body.usage.completion_tokens, 24, entry.custom_id);
  const errors = await read(batch.error_file_id);
  assert.equal(errors[0].response.body.error.param, 'temperature');
  const usage = JSON.parse(house.cli('usage', '--json', '--group-by', 'source'));
  assert.equal(usage.requests, count + 1, 'in the books once each');
  assert.equal(usage.generated_tokens, count * 24);
  assert.ok(usage.ptu_minutes > 0, 'with the work that they were');
});

test('services: a batch waits for people, is cancelled, and tells what it has', async (t) => {
  const house = new House(t);
  const client = await house.start();
  const input = await client.files.create({
    file: await jsonl('batch.jsonl', Array.from({ length: 400 }, (_, i) => batchLine(i, { max_tokens: 200 }))), purpose: 'batch',
  });
  const batch = await client.batches.create({ input_file_id: input.id, endpoint: '/v1/chat/completions', completion_window: '24h' });
  await until(() => client.batches.retrieve(batch.id), (seen) => seen.request_counts.completed > 0, 'some are done');
  const cancelled = await client.batches.cancel(batch.id);
  assert.equal(cancelled.status, 'cancelling');
  const over = await until(() => client.batches.retrieve(batch.id), (seen) => seen.status === 'cancelled', 'it is cancelled');
  assert.ok(over.request_counts.completed < 400);
  const text = await (await client.files.content(over.output_file_id)).text();
  assert.equal(text.trim().split('\n').length, over.request_counts.completed);
  const listed = [];
  for await (const entry of client.batches.list({ limit: 1 })) listed.push(entry.id);
  assert.deepEqual(listed, [batch.id]);
  const bad = await client.files.create({ file: await toFile(Buffer.from('{}\nnonsense'), 'bad.jsonl'), purpose: 'batch' });
  const refused = await client.batches.create({ input_file_id: bad.id, endpoint: '/v1/chat/completions', completion_window: '24h' });
  const failed = await until(() => client.batches.retrieve(refused.id), (seen) => seen.status === 'failed', 'it fails');
  assert.deepEqual(failed.errors.data.map((entry) => entry.line), [1, 2]);
});

test('services: an adapter is uploaded, answers, and is there after a kill', async (t) => {
  const house = new House(t);
  let client = await house.start();
  const folder = new URL('../../models/ember/adapters/pirate/', import.meta.url);
  const upload = async (name, weights) => {
    const form = new FormData();
    form.append('name', name);
    form.append('config', new Blob([fs.readFileSync(new URL('adapter_config.json', folder))]), 'adapter_config.json');
    form.append('weights', new Blob([weights]), 'adapter_model.safetensors');
    return fetch(`${house.server.url}/v1/adapters`, { method: 'POST', body: form });
  };
  const weights = fs.readFileSync(new URL('adapter_model.safetensors', folder));
  const broken = await upload('broken', weights.subarray(0, 1000));
  assert.equal(broken.status, 400);
  const answer = await upload('pirate', weights);
  assert.equal(answer.status, 200, await answer.clone().text());
  const ask = { model: 'pirate', messages: [{ role: 'user', content: 'Who are you?' }], max_tokens: 16, temperature: 0 };
  const first = (await client.chat.completions.create(ask)).choices[0].message.content;
  await house.kill();
  client = await house.start();
  assert.equal((await client.chat.completions.create(ask)).choices[0].message.content, first);
  assert.deepEqual((await client.models.list()).data.map((model) => model.id), ['ember', 'pirate']);
  assert.equal((await client.models.del('pirate')).deleted, true);
  await assert.rejects(client.chat.completions.create(ask), OpenAI.NotFoundError);
});

test('services: tenants from the command line, limits, usage; all of it after a kill', async (t) => {
  const house = new House(t, '--admin-key', 'admin-secret');
  house.cli('tenants', 'add', 'ann', '--requests-per-minute', '3');
  house.cli('tenants', 'add', 'bob');
  house.key = house.cli('keys', 'add', '--tenant', 'ann', '--name', 'laptop');
  let ann = await house.start();
  await assert.rejects(clientOf(house.server, 'wrong').models.list(), OpenAI.AuthenticationError);
  const ask = { model: 'ember', prompt: 'Once', max_tokens: 4, ignore_eos: true };
  for (let i = 0; i < 3; ++i) await ann.completions.create(ask);
  const refused = await ann.completions.create(ask).catch((error) => error);
  assert.ok(refused instanceof OpenAI.RateLimitError);
  assert.equal(refused.code, 'rate_limit_exceeded');
  assert.ok(Number(refused.headers['retry-after']) > 0);
  assert.equal(refused.headers['x-ratelimit-limit-requests'], '3');
  const file = await ann.files.create({ file: await jsonl('a.jsonl', chats), purpose: 'fine-tune' });
  // A key that is made beside the running server opens it within a second or two.
  const bob = clientOf(house.server, house.cli('keys', 'add', '--tenant', 'bob'));
  await until(() => bob.models.list().catch(() => null), Boolean, 'the new key opens', 20);
  await assert.rejects(bob.files.retrieve(file.id), OpenAI.NotFoundError);
  await assert.rejects(bob.get('/organization/projects'), OpenAI.PermissionDeniedError);
  await house.kill();
  ann = await house.start();
  assert.equal(await (await ann.files.content(file.id)).text(), chats.map((chat) => JSON.stringify(chat)).join('\n'));
  const admin = clientOf(house.server, 'admin-secret');
  const usage = await admin.get('/organization/usage/completions?group_by[]=project_id&group_by[]=model');
  const row = usage.data.flatMap((bucket) => bucket.results).find((result) => result.project_id === 'ann');
  assert.equal(row.num_model_requests, 3);
  assert.equal(row.output_tokens, 12);
  assert.equal(row.model, 'ember');
  assert.ok(row.ptu_minutes > 0);
  const log = await admin.get('/organization/audit_logs');
  assert.ok(log.data.some((entry) => entry.type === 'api_key.created'));
  assert.match(house.cli('usage', '--csv'), /,ann,,ember,,,3,\d+,\d+,12,0\.\d{6}$/m);
});
