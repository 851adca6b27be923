// What the program does around the model: clients that leave, drain, keys, origins, limits, health beside a long prompt.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, metric, startHearth, startLongHearth } from './server.mjs';

const slow = process.env.HEARTH_SLOW !== undefined;

function post(server, path, body, init = {}) {
  return fetch(server.url + path, { method: 'POST', body: JSON.stringify(body), ...init, headers: init.headers });
}

const running = (server) => metric(server, 'hearth:num_requests_running');
const endless = (tokens) => ({
  messages: [{ role: 'user', content: 'Go on.' }], max_tokens: tokens, stream: true, ignore_eos: true, temperature: 0,
});

// The first bytes that are an event: the head alone comes before the prompt is computed.
async function firstEvent(response) {
  const reader = response.body.getReader();
  const { value } = await reader.read();
  assert.match(Buffer.from(value).toString(), /^data: /);
  return reader;
}

test('real: a client that leaves in the middle of a stream is cancelled', async (t) => {
  const server = await startLongHearth();
  t.after(() => server.stop());
  const leave = new AbortController();
  await firstEvent(await post(server, '/v1/chat/completions', endless(15000), { signal: leave.signal }));
  assert.equal(await running(server), 1);
  assert.ok(await metric(server, 'hearth:kv_cache_usage_perc') > 0);
  leave.abort();
  await eventually(async () => (await running(server)) === 0, 'nothing runs');
  await eventually(async () => (await metric(server, 'hearth:kv_cache_usage_perc')) === 0, 'its blocks are free');
  assert.equal(await metric(server, 'hearth:request_success_total{model_name="ember",finished_reason="abort"}'), 1);
});

test('real: a client that leaves before the prompt is computed is cancelled too', async (t) => {
  const server = await startLongHearth();
  t.after(() => server.stop());
  const leave = new AbortController();
  const response = await post(server, '/v1/completions', { prompt: Array(12000).fill(100), max_tokens: 4, stream: true }, { signal: leave.signal });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('content-type'), 'text/event-stream; charset=utf-8');
  leave.abort();
  await eventually(async () => (await running(server)) === 0 && (await metric(server, 'hearth:num_requests_waiting')) === 0, 'nothing is left');
});

test('real: SIGTERM: ready says 503, the stream finishes, status 0', async () => {
  const server = await startLongHearth();
  const stream = await post(server, '/v1/chat/completions', endless(1500));
  server.signal('SIGTERM');
  await eventually(async () => (await fetch(`${server.url}/ready`)).status === 503, 'not ready');
  const refused = await post(server, '/v1/chat/completions', endless(1));
  assert.equal(refused.status, 503);
  assert.ok(refused.headers.get('retry-after'));
  assert.equal((await fetch(`${server.url}/health`)).status, 200);
  const text = await stream.text();
  assert.match(text, /"finish_reason":"length"/);
  assert.ok(text.trimEnd().endsWith('data: [DONE]'));
  assert.equal(await server.exited, 0);
});

test('real: a second signal does not wait', async () => {
  const server = await startLongHearth();
  const stream = await post(server, '/v1/chat/completions', endless(15000));
  await firstEvent(stream);
  server.signal('SIGTERM');
  await eventually(async () => (await fetch(`${server.url}/ready`)).status === 503, 'not ready');
  const forced = Date.now();
  server.signal('SIGTERM');
  assert.equal(await server.exited, 0);
  assert.ok(Date.now() - forced < 10_000);
});

test('real: a draft model changes no answer, and is counted', async (t) => {
  const answers = [];
  for (const flags of [[], ['--draft-model', 'ember', '--num-speculative-tokens', '3']]) {
    const server = await startHearth(...flags);
    t.after(() => server.stop());
    for (const temperature of [0, 1]) {
      const body = { prompt: 'Once upon a time', max_tokens: 48, temperature, seed: 5, ignore_eos: true };
      answers.push((await (await post(server, '/v1/completions', body)).json()).choices[0].text);
    }
    const right = await metric(server, 'hearth:spec_decode_num_accepted_tokens_total');
    assert.equal(right > 0, flags.length > 0);
    // The model is its own draft here: it errs never.
    assert.equal(right, await metric(server, 'hearth:spec_decode_num_draft_tokens_total'));
    await server.stop();
  }
  assert.deepEqual(answers.slice(2), answers.slice(0, 2));
});

test('real: keys, origins and the limit of a body', async (t) => {
  const server = await startHearth('--api-key', 'secret', '--cors-origin', 'https://page.example', '--max-body-bytes', '100000');
  t.after(() => server.stop());
  const body = { prompt: 'a', max_tokens: 1 };
  const authorization = 'Bearer secret';
  for (const headers of [{}, { authorization: 'Bearer wrong' }, { authorization: 'secret' }, { 'x-api-key': 'secre' }]) {
    const refused = await post(server, '/v1/completions', body, { headers });
    assert.equal(refused.status, 401);
    assert.equal(refused.headers.get('www-authenticate'), 'Bearer');
    assert.equal((await refused.json()).error.code, 'invalid_api_key');
  }
  assert.equal((await fetch(`${server.url}/v1/models`)).status, 401);
  for (const headers of [{ authorization }, { 'x-api-key': 'secret' }]) {
    assert.equal((await post(server, '/v1/completions', body, { headers })).status, 200);
  }
  for (const open of ['/health', '/ready', '/version', '/metrics', '/']) assert.equal((await fetch(server.url + open)).status, 200, open);

  const origin = async (name, init = {}) =>
    (await fetch(`${server.url}/v1/models`, { ...init, headers: { origin: name, authorization, ...init.headers } })).headers.get('access-control-allow-origin');
  assert.equal(await origin('https://page.example'), 'https://page.example');
  assert.equal(await origin('https://other.example'), null);
  const preflight = await fetch(`${server.url}/v1/completions`, {
    method: 'OPTIONS',
    headers: { origin: 'https://page.example', 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' },
  });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers.get('access-control-allow-headers'), 'authorization');

  const large = await post(server, '/v1/completions', { prompt: 'a'.repeat(100_001) }, { headers: { authorization } });
  assert.equal(large.status, 413);
  assert.match((await large.json()).error.message, /100000/);
});

test('real: health and metrics answer at once beside a long prompt', async (t) => {
  const tokens = slow ? 32000 : 12000;
  const server = await startLongHearth();
  t.after(() => server.stop());
  let done = false;
  const prompt = post(server, '/v1/completions', { prompt: Array(tokens).fill(100), max_tokens: 1 }).then(async (response) => {
    done = true;
    return response.json();
  });
  const times = [];
  while (!done) {
    const begin = performance.now();
    assert.equal((await fetch(`${server.url}/health`)).status, 200);
    times.push(performance.now() - begin);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.equal((await prompt).usage.prompt_tokens, tokens);
  times.sort((a, b) => a - b);
  t.diagnostic(`${times.length} answers, median ${times[times.length >> 1].toFixed(1)} ms, slowest ${times.at(-1).toFixed(1)} ms`);
  assert.ok(times.length > 3);
  assert.ok(times[times.length >> 1] < 250, `median ${times[times.length >> 1]} ms`);
});
