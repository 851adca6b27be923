import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { say, startServer } from './server.mjs';

let server;
let client;
before(async () => {
  server = await startServer('--api-key', 'secret');
  client = new Anthropic({ baseURL: server.url, apiKey: 'secret', maxRetries: 0 });
});
after(() => server.stop());

const tools = [{ name: 'add', input_schema: { type: 'object', properties: {} } }];

test('anthropic: a message', async () => {
  const message = await client.messages.create({ model: 'fake', max_tokens: 100, system: 'be kind', messages: say('hello') });
  assert.deepEqual(message.content, [{ type: 'text', text: 'hello' }]);
  assert.equal(message.stop_reason, 'end_turn');
  assert.equal(message.usage.output_tokens, 6);
});

test('anthropic: a streamed message with thinking, text and a tool', async () => {
  const stream = client.messages.stream({
    model: 'fake', max_tokens: 100, tools, messages: say('<think>hm</think>so <call>add {"a":1}</call>'),
  });
  let text = '';
  stream.on('text', (delta) => { text += delta; });
  const message = await stream.finalMessage();
  assert.equal(text, 'so ');
  assert.deepEqual(message.content.map((block) => block.type), ['thinking', 'text', 'tool_use']);
  assert.deepEqual(message.content[2].input, { a: 1 });
  assert.equal(message.stop_reason, 'tool_use');
});

test('anthropic: the result of a tool', async () => {
  const message = await client.messages.create({
    model: 'fake', max_tokens: 100, tools,
    messages: [
      { role: 'user', content: 'add' },
      { role: 'assistant', content: [{ type: 'tool_use', id: 'toolu_1', name: 'add', input: {} }] },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_1', content: 'say 3' }] },
    ],
  });
  assert.equal(message.content[0].text, '3');
});

test('anthropic: tokens are counted', async () => {
  const count = await client.messages.countTokens({ model: 'fake', messages: [{ role: 'user', content: 'hi' }] });
  assert.equal(count.input_tokens, 21);
});

test('anthropic: errors are of the classes that the client knows', async () => {
  const stranger = new Anthropic({ baseURL: server.url, apiKey: 'wrong', maxRetries: 0 });
  await assert.rejects(stranger.messages.create({ model: 'fake', max_tokens: 1, messages: say('x') }), Anthropic.AuthenticationError);
  await assert.rejects(client.messages.create({ model: 'other', max_tokens: 1, messages: say('x') }), Anthropic.NotFoundError);
  await assert.rejects(client.messages.create({ model: 'fake', max_tokens: -1, messages: say('x') }), Anthropic.BadRequestError);
});
