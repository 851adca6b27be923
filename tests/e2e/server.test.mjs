// What no client library shows: keys, overload, drain, clients that leave, thousands of streams.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { eventually, metric, say, startServer } from './server.mjs';

const streams = Number(process.env.HEARTH_E2E_STREAMS ?? 2000);

function post(server, path, body, init = {}) {
  return fetch(server.url + path, {
    method: 'POST', body: JSON.stringify(body), ...init,
    headers: { 'content-type': 'application/json', ...init.headers },
  });
}

const forever = (tokens) => ({ model: 'fake', messages: say('forever'), max_tokens: tokens, stream: true });

test('server: without a key nobody gets in, and health is open', async (t) => {
  const server = await startServer('--api-key', 'secret');
  t.after(() => server.stop());
  const refused = await post(server, '/v1/chat/completions', forever(1));
  assert.equal(refused.status, 401);
  assert.equal((await refused.json()).error.code, 'invalid_api_key');
  assert.equal((await fetch(`${server.url}/health`)).status, 200);
  const admitted = await post(server, '/v1/chat/completions', forever(1), { headers: { authorization: 'Bearer secret' } });
  assert.equal(admitted.status, 200);
  await admitted.text();
});

test('server: too many requests of a tenant are 429, a full queue is 503', async (t) => {
  const server = await startServer('--tenant-requests', '1', '--step-ms', '20');
  t.after(() => server.stop());
  const leave = new AbortController();
  const first = await post(server, '/v1/chat/completions', forever(4000), { signal: leave.signal });
  const second = await post(server, '/v1/chat/completions', forever(1));
  assert.equal(second.status, 429);
  assert.ok(second.headers.get('retry-after'));
  leave.abort();
  await assert.rejects(first.text());

  // While a long step runs one request may wait, and the next is refused.
  const full = await startServer('--queue', '1', '--step-ms', '500');
  t.after(() => full.stop());
  const busy = post(full, '/v1/chat/completions', forever(2));
  await eventually(async () => (await metric(full, 'hearth:num_requests_running')) === 1, 'one runs');
  const answers = await Promise.all([post(full, '/v1/chat/completions', forever(1)), post(full, '/v1/chat/completions', forever(1))]);
  assert.deepEqual(answers.map((answer) => answer.status).sort(), [200, 503]);
  const refused = answers.find((answer) => answer.status === 503);
  assert.equal((await refused.json()).error.code, 'queue_full');
  assert.ok(refused.headers.get('retry-after'));
  await (await busy).text();
});

test('server: a client that leaves is cancelled', async (t) => {
  const server = await startServer('--step-ms', '5');
  t.after(() => server.stop());
  const leave = new AbortController();
  const response = await post(server, '/v1/chat/completions', forever(4000), { signal: leave.signal });
  const reader = response.body.getReader();
  await reader.read();
  assert.equal(await metric(server, 'hearth:num_requests_running'), 1);
  leave.abort();
  await eventually(async () => (await metric(server, 'hearth:num_requests_running')) === 0, 'nothing runs');
  assert.equal(await metric(server, 'hearth:request_success_total{model_name="fake",finished_reason="abort"}'), 1);
});

test('server: a drain finishes what runs and refuses what is new', async () => {
  const server = await startServer('--step-ms', '20');
  const running = await post(server, '/v1/chat/completions', forever(60));
  server.signal('SIGTERM');
  await eventually(async () => (await fetch(`${server.url}/ready`)).status === 503, 'not ready');
  assert.equal((await post(server, '/v1/chat/completions', forever(1))).status, 503);
  const text = await running.text();
  assert.match(text, /"finish_reason":"length"/);
  assert.ok(text.trimEnd().endsWith('data: [DONE]'));
  assert.equal(await server.exited, 0);
});

test('server: a second signal does not wait', async () => {
  const server = await startServer('--step-ms', '20');
  const running = await post(server, '/v1/chat/completions', forever(4000));
  server.signal('SIGTERM');
  await eventually(async () => (await fetch(`${server.url}/ready`)).status === 503, 'not ready');
  server.signal('SIGTERM');
  await running.text().catch(() => {});
  assert.equal(await server.exited, 0);
});

test(`server: ${streams} open streams on two I/O threads`, async (t) => {
  const server = await startServer('--step-ms', '200');
  t.after(() => server.stop());
  const body = JSON.stringify(forever(3000));
  const agent = new http.Agent({ keepAlive: false, maxSockets: Infinity });
  const open = [];
  await Promise.all(Array.from({ length: streams }, () => new Promise((resolve, reject) => {
    const request = http.request(`${server.url}/v1/chat/completions`, {
      agent, method: 'POST', headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
    });
    request.on('error', reject);
    request.on('response', (response) => {
      if (response.statusCode !== 200) reject(new Error(`status ${response.statusCode}`));
      response.once('data', () => { response.on('data', () => {}); resolve(); });
      response.on('error', () => {});
    });
    open.push(request);
    request.end(body);
  })));
  assert.equal(await metric(server, 'hearth:num_requests_running'), streams);
  const before = Date.now();
  assert.equal((await fetch(`${server.url}/health`)).status, 200);
  t.diagnostic(`health answered in ${Date.now() - before} ms beside ${streams} streams`);
  for (const request of open) {
    request.on('error', () => {});
    request.destroy();
  }
  await eventually(async () => (await metric(server, 'hearth:num_requests_running')) === 0, 'every stream is cancelled');
});
