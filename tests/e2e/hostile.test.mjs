// Requests that no client would send: each is answered with a 4xx that says what is wrong, or cut; none ends the server.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { startHearth } from './server.mjs';

let server;
before(async () => { server = await startHearth('--max-body-bytes', '4000000'); });
after(async () => {
  assert.equal((await fetch(`${server.url}/health`)).status, 200);
  assert.equal(await server.stop(), 0);
});

const routes = [
  '/v1/chat/completions', '/v1/completions', '/v1/responses', '/v1/messages', '/v1/messages/count_tokens', '/v1/embeddings', '/tokenize', '/detokenize',
];

async function send(path, body, headers = {}) {
  const response = await fetch(server.url + path, { method: 'POST', body, headers });
  return { status: response.status, text: await response.text() };
}

async function refused(path, body, note) {
  const { status, text } = await send(path, body);
  assert.ok(status >= 400 && status < 500, `${path} ${note}: ${status} ${text.slice(0, 200)}`);
  const { error } = JSON.parse(text);
  assert.ok(error.message.length > 10 && error.message.length < 1000, `${path} ${note}: ${text.slice(0, 300)}`);
}

test('hostile: bodies that are no JSON object', async () => {
  const bodies = {
    nothing: '', null: 'null', list: '[]', text: '"x"', number: '1e999', half: '{"model": ', two: '{}{}', comma: '{"a":1,}', nan: '{"temperature": NaN}',
    control: '{"prompt": "\n"}', zero: '\0', bom: '\ufeff{}', deep: '['.repeat(200_000), 'deep object': '{"a":'.repeat(100_000),
    'deep closed': `{"prompt":${'['.repeat(50_000)}${']'.repeat(50_000)}}`, 'lone surrogate': '{"prompt":"\\ud800"}x',
    'no UTF-8': Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]),
  };
  for (const path of routes) for (const [note, body] of Object.entries(bodies)) await refused(path, body, note);
});

test('hostile: fields of every wrong type', async () => {
  const values = [true, -1, 1e308, 0.5, '', 'x', [], [[]], [null], {}, { a: 1 }];
  const chat = {
    model: null, messages: null, max_tokens: null, temperature: null, top_p: null, top_k: null, n: null, seed: null, stop: null, stream: null, logprobs: null,
    top_logprobs: null, logit_bias: null, tools: null, tool_choice: null, response_format: null, structured_outputs: null, stream_options: null,
    chat_template_kwargs: null, stop_token_ids: null, min_tokens: null, dry_sequence_breakers: null, guided_json: null, guided_choice: null, priority: null,
  };
  for (const name of Object.keys(chat)) {
    for (const value of values) {
      const body = { messages: [{ role: 'user', content: 'x' }], max_tokens: 1, [name]: value };
      const { status, text } = await send('/v1/chat/completions', JSON.stringify(body));
      assert.ok(status === 200 || (status >= 400 && status < 500), `${name} = ${JSON.stringify(value)}: ${status} ${text.slice(0, 200)}`);
    }
  }
  const messages = [null, 1, 'x', {}, { role: 'user' }, { role: 'king', content: 'x' }, { role: 'user', content: 1 }, { role: 'user', content: [{}] },
    { role: 'user', content: [{ type: 'image_url' }] }, { role: 'assistant', tool_calls: [{}] }, { role: 'assistant', tool_calls: [{ function: { name: 'f', arguments: '{' } }] }];
  for (const message of messages) await refused('/v1/chat/completions', JSON.stringify({ messages: [message] }), JSON.stringify(message));
});

test('hostile: sizes', async () => {
  const many = (count, value) => Array(count).fill(value);
  const cases = [
    ['/v1/completions', { prompt: many(100_000, 1) }], ['/v1/completions', { prompt: many(1000, 'a') }], ['/v1/completions', { prompt: [-1] }],
    ['/v1/completions', { prompt: [1e9] }], ['/v1/completions', { prompt: 'a', n: 1000 }], ['/v1/completions', { prompt: 'a', stop: many(1000, 'x') }],
    ['/v1/completions', { prompt: 'a '.repeat(500_000) }], ['/v1/embeddings', { input: many(100_000, 'a') }], ['/v1/embeddings', { input: 'a '.repeat(100_000) }],
    ['/v1/chat/completions', { messages: many(20_000, { role: 'user', content: 'x' }) }],
    ['/v1/chat/completions', { messages: [{ role: 'user', content: 'x' }], tools: many(1000, { type: 'function', function: { name: 'f' } }) }],
    ['/detokenize', { tokens: [1e9] }], ['/detokenize', { tokens: [-5] }],
  ];
  for (const [path, body] of cases) await refused(path, JSON.stringify(body), JSON.stringify(body).slice(0, 60));
  const { status } = await send('/v1/completions', Buffer.alloc(4_000_001, 0x20));
  assert.equal(status, 413);
});

test('hostile: grammars that would never end, or explode', async () => {
  const ask = (more) => JSON.stringify({ messages: [{ role: 'user', content: 'x' }], max_tokens: 1, ...more });
  const schema = (value) => ask({ response_format: { type: 'json_schema', json_schema: { name: 's', schema: value } } });
  const cases = {
    'left recursion': ask({ guided_grammar: 'root ::= a\na ::= root' }), 'no root': ask({ guided_grammar: 'a ::= "b"' }),
    'no rule': ask({ guided_grammar: 'root ::= b' }), 'open string': ask({ guided_grammar: 'root ::= "b' }), regex: ask({ guided_regex: '(((' }),
    'huge repeat': ask({ guided_regex: '((a{1000}){1000}){1000}{1000}' }), 'look-ahead': ask({ guided_regex: '(?=a)b' }),
    'endless schema': schema({ $ref: '#' }), 'no such reference': schema({ $ref: '#/x' }), 'no such type': schema({ type: 'thing' }), 'schema of a number': schema(7),
    'impossible schema': schema({ type: 'integer', minimum: 2, maximum: 1 }), 'two constraints': ask({ guided_regex: 'a', guided_choice: ['a'] }),
    'no choice': ask({ guided_choice: [] }), 'many choices': ask({ guided_choice: Array(5000).fill('x') }),
    'many merges': schema({ allOf: Array.from({ length: 9 }, (_, i) => ({ anyOf: Array.from({ length: 9 }, (_, j) => ({ required: [`${i}-${j}`] })) })) }),
  };
  for (const [note, body] of Object.entries(cases)) await refused('/v1/chat/completions', body, note);
});

// Bytes as they are, and everything that comes back until the server closes or `quiet` ms pass.
function raw(bytes, quiet = 400) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(server.port, '127.0.0.1', () => socket.write(bytes));
    let got = '';
    socket.setTimeout(quiet, () => socket.destroy());
    socket.on('data', (data) => { got += data; });
    socket.on('close', () => resolve(got));
    socket.on('error', (error) => (error.code === 'ECONNRESET' || error.code === 'EPIPE' ? resolve(got) : reject(error)));
  });
}

test('hostile: HTTP that is none', async () => {
  const post = (head, body = '') => `POST /v1/completions HTTP/1.1\r\nHost: x\r\n${head}\r\n\r\n${body}`;
  const cases = [
    'GET\r\n\r\n', 'GET / HTTP/9.9\r\n\r\n', '\x16\x03\x01\x02\x00\x01\x00', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', `GET /${'a'.repeat(100_000)} HTTP/1.1\r\n\r\n`,
    `GET / HTTP/1.1\r\nX: ${'y'.repeat(200_000)}\r\n\r\n`, `GET / HTTP/1.1\r\n${'X: y\r\n'.repeat(20_000)}\r\n`, post('Content-Length: -1'), post('Content-Length: 99999999999999999999'),
    post('Content-Length: 5\r\nContent-Length: 6', '{}'), post('Transfer-Encoding: chunked', 'zz\r\n'), post('Transfer-Encoding: chunked\r\nContent-Length: 2', '{}'),
    'GET /health HTTP/1.1\r\nHost : x\r\n\r\n', 'GET /he\0alth HTTP/1.1\r\nHost: x\r\n\r\n',
  ];
  for (const bytes of cases) {
    const answer = await raw(bytes);
    assert.ok(answer === '' || /^HTTP\/1\.[01] (4\d\d|505)/.test(answer), `${JSON.stringify(bytes.slice(0, 60))}: ${answer.slice(0, 100)}`);
  }
  // A client that stops in the middle of its body holds nothing up.
  const half = raw(post('Content-Length: 1000', '{"prompt":'), 1500);
  assert.equal((await fetch(`${server.url}/health`)).status, 200);
  await half;
});

test('hostile: paths and methods', async () => {
  for (const path of ['/../../etc/passwd', '/%2e%2e/%2e%2e/etc/passwd', '/assets/..%2f..%2fetc/passwd', '/v1/models/%00', '/v1/responses/%27%20OR%201=1', '//', '/v1//models']) {
    const answer = await raw(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    assert.match(answer, /^HTTP\/1\.1 40[04]/, `${path}: ${answer.slice(0, 80)}`);
    assert.ok(!answer.includes('root:'));
  }
  for (const method of ['PUT', 'DELETE', 'PATCH', 'TRACE']) {
    const response = await raw(`${method} /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    assert.match(response, /^HTTP\/1\.1 40[05]/, `${method}: ${response.slice(0, 80)}`);
  }
});
