// Contracts on throughput: what was answered survives kill -9, a change counts at once, and the openai client waits as it is told.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import OpenAI from 'openai';
import { makeDataDir, startHearth, startHearthIn } from './server.mjs';

async function call(server, method, path, body) {
  const response = await fetch(server.url + path, { method, body: body && JSON.stringify(body) });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

const complete = (server, tokens, more = {}) => call(server, 'POST', '/v1/completions', {
  prompt: 'Once', max_tokens: tokens, ignore_eos: true, temperature: 0, ...more,
});

test('deployments: a 200 survives kill -9', async (t) => {
  const data = makeDataDir();
  t.after(() => fs.rmSync(data, { recursive: true, force: true }));
  const first = await startHearthIn(data);
  assert.equal((await call(first, 'POST', '/v1/deployments', { name: 'chat', ptu: 3 })).status, 200);
  assert.equal((await call(first, 'PATCH', '/v1/deployments/chat', { ptu: 4.5, spillover: 'standard' })).status, 200);
  first.signal('SIGKILL');
  await first.exited;
  const second = await startHearthIn(data);
  t.after(() => second.stop());
  const { body } = await call(second, 'GET', '/v1/deployments/chat');
  assert.equal(body.ptu, 4.5);
  assert.equal(body.spillover, 'standard');
  assert.equal((await complete(second, 2)).headers.get('x-hearth-deployment'), 'chat');
});

// Each other than those before, so that nothing is found cached: 80 tokens, as many units.
let asked = 0;
const prompt = () => Array.from({ length: 80 }, (_, i) => 200 + asked + (i === 0 ? ++asked : 0));

test('deployments: the openai client retries when it is told to, and a new purchase counts at once', async (t) => {
  const server = await startHearth();
  t.after(() => server.stop());
  await call(server, 'POST', '/v1/deployments', { name: 'chat', ptu: 0.3 });  // 5 units a second, 50 at once
  assert.equal((await complete(server, 1, { prompt: prompt() })).status, 200);
  const refused = await complete(server, 1);
  assert.equal(refused.status, 429);
  assert.ok(Number(refused.headers.get('retry-after-ms')) > 0);
  assert.ok(Number(refused.headers.get('retry-after')) >= 1);
  assert.match(refused.headers.get('x-hearth-utilization'), /^1\d\d\.\d%$/);
  const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 2 });
  const { response } = await client.completions.create({ model: 'ember', prompt: prompt(), max_tokens: 1 }).withResponse();
  assert.equal(response.headers.get('x-hearth-deployment'), 'chat');
  assert.equal((await complete(server, 1)).status, 429);
  await call(server, 'PATCH', '/v1/deployments/chat', { ptu: 600 });
  assert.equal((await complete(server, 1)).status, 200);
  const { body } = await call(server, 'GET', '/v1/deployments');
  assert.ok(body.data[0].status.refused >= 3);
  assert.equal(body.data[0].status.running, 0);
});

test('deployments: spill-over keeps streaming', async (t) => {
  const server = await startHearth();
  t.after(() => server.stop());
  await call(server, 'POST', '/v1/deployments', { name: 'chat', ptu: 0.3, spillover: 'standard' });
  await complete(server, 1, { prompt: prompt() });
  const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
  const { data, response } = await client.completions
    .create({ model: 'ember', prompt: 'Once', max_tokens: 8, stream: true }).withResponse();
  assert.equal(response.headers.get('x-hearth-spillover'), 'standard');
  let chunks = 0;
  for await (const chunk of data) chunks += chunk.choices.length;
  assert.ok(chunks > 0);
});
