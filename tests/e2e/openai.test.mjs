import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { say, startServer } from './server.mjs';

let server;
let client;
before(async () => {
  server = await startServer();
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
});
after(() => server.stop());

const tools = [{ type: 'function', function: { name: 'add', parameters: { type: 'object', properties: {} } } }];

test('openai: a chat', async () => {
  const reply = await client.chat.completions.create({ model: 'fake', messages: say('hello') });
  assert.equal(reply.choices[0].message.content, 'hello');
  assert.equal(reply.choices[0].finish_reason, 'stop');
  assert.equal(reply.usage.completion_tokens, 6);
});

test('openai: a streamed chat with usage', async () => {
  const stream = await client.chat.completions.create({
    model: 'fake', messages: say('grüße 🎉'), stream: true, stream_options: { include_usage: true },
  });
  let text = '';
  let usage = null;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? '';
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, 'grüße 🎉');
  assert.equal(usage.completion_tokens, Buffer.byteLength(text) + 1);
});

test('openai: the stream helper puts tool calls together', async () => {
  const stream = client.beta.chat.completions.stream({ model: 'fake', messages: say('<call>add {"a":1}</call>'), tools });
  const reply = await stream.finalChatCompletion();
  assert.equal(reply.choices[0].finish_reason, 'tool_calls');
  const call = reply.choices[0].message.tool_calls[0];
  assert.equal(call.function.name, 'add');
  assert.deepEqual(JSON.parse(call.function.arguments), { a: 1 });
});

test('openai: a forced tool', async () => {
  const reply = await client.chat.completions.create({ model: 'fake', messages: say('x'), tools, tool_choice: 'required' });
  assert.equal(reply.choices[0].message.tool_calls[0].function.name, 'add');
});

test('openai: structured output is parsed', async () => {
  const reply = await client.beta.chat.completions.parse({
    model: 'fake',
    messages: say('x'),
    response_format: {
      type: 'json_schema',
      json_schema: { name: 'ok', strict: true, schema: { type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'] } },
    },
  });
  assert.equal(JSON.parse(reply.choices[0].message.content).ok, true);
});

test('openai: n and logprobs', async () => {
  const reply = await client.chat.completions.create({ model: 'fake', messages: say('ab'), n: 3, logprobs: true, top_logprobs: 2 });
  assert.equal(reply.choices.length, 3);
  for (const choice of reply.choices) {
    assert.deepEqual(choice.logprobs.content.map((entry) => entry.token), ['a', 'b']);
    assert.equal(choice.logprobs.content[0].top_logprobs.length, 2);
  }
});

test('openai: completions, whole and streamed', async () => {
  const reply = await client.completions.create({ model: 'fake', prompt: 'say hi', logprobs: 1 });
  assert.equal(reply.choices[0].text, 'hi');
  assert.deepEqual(reply.choices[0].logprobs.text_offset, [0, 1]);
  let text = '';
  for await (const chunk of await client.completions.create({ model: 'fake', prompt: 'say hi', stream: true })) {
    text += chunk.choices[0].text;
  }
  assert.equal(text, 'hi');
});

test('openai: embeddings, which the client asks for as base64', async () => {
  const reply = await client.embeddings.create({ model: 'fake', input: ['a', 'abc'] });
  assert.equal(reply.data.length, 2);
  assert.equal(reply.data[1].embedding.length, 4);
  assert.ok(Math.abs(Math.hypot(...reply.data[1].embedding) - 1) < 1e-6);
});

test('openai: models', async () => {
  assert.deepEqual((await client.models.list()).data.map((model) => model.id), ['fake']);
  assert.equal((await client.models.retrieve('fake')).id, 'fake');
});

test('openai: responses are kept, gone on from, shown and deleted', async () => {
  const first = await client.responses.create({ model: 'fake', input: 'say one' });
  assert.equal(first.output_text, 'one');
  const second = await client.responses.create({ model: 'fake', input: 'again', previous_response_id: first.id });
  assert.equal(second.output_text, 'one');
  assert.equal((await client.responses.retrieve(second.id)).previous_response_id, first.id);
  await client.responses.del(first.id);
  await assert.rejects(client.responses.retrieve(first.id), OpenAI.NotFoundError);
});

test('openai: a streamed response', async () => {
  const stream = client.responses.stream({ model: 'fake', input: 'say <think>hm</think>hello' });
  let text = '';
  stream.on('response.output_text.delta', (event) => { text += event.delta; });
  const response = await stream.finalResponse();
  assert.equal(text, 'hello');
  assert.deepEqual(response.output.map((item) => item.type), ['reasoning', 'message']);
  assert.equal(response.output[1].content[0].text, 'hello');
});

test('openai: a response that calls a function', async () => {
  const response = await client.responses.create({
    model: 'fake', input: 'say <call>add {"a":2}</call>',
    tools: [{ type: 'function', name: 'add', parameters: { type: 'object', properties: {} }, strict: false }],
  });
  assert.equal(response.output[0].type, 'function_call');
  assert.equal(response.output[0].arguments, '{"a":2}');
});

test('openai: errors are of the classes that the client knows', async () => {
  const ask = (more) => client.chat.completions.create({ model: 'fake', messages: say('x'), ...more });
  await assert.rejects(ask({ model: 'gpt-9' }), (error) => error instanceof OpenAI.NotFoundError && error.code === 'model_not_found' && error.param === 'model');
  await assert.rejects(ask({ temperature: 9 }), (error) => error instanceof OpenAI.BadRequestError && error.param === 'temperature');
  await assert.rejects(ask({ messages: say('x'.repeat(9000)) }), (error) => error.status === 400 && error.code === 'context_length_exceeded');
  assert.ok((await client.chat.completions.create({ model: 'fake', messages: say('x') }).withResponse()).response.headers.get('x-request-id'));
});
