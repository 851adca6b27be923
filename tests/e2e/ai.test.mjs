import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { embed, generateObject, generateText, streamText, tool } from 'ai';
import { z } from 'zod';
import { startServer } from './server.mjs';

let server;
let provider;
before(async () => {
  server = await startServer();
  provider = createOpenAICompatible({ name: 'hearth', baseURL: `${server.url}/v1`, supportsStructuredOutputs: true });
});
after(() => server.stop());

const add = tool({ description: 'adds', inputSchema: z.object({ a: z.number() }) });

test('ai: text', async () => {
  const { text, usage, finishReason } = await generateText({ model: provider('fake'), prompt: 'say hello' });
  assert.equal(text, 'hello');
  assert.equal(finishReason, 'stop');
  assert.equal(usage.outputTokens, 6);
});

test('ai: streamed text with reasoning', async () => {
  const result = streamText({ model: provider('fake'), prompt: 'say <think>hm</think>hello' });
  let text = '';
  for await (const delta of result.textStream) text += delta;
  assert.equal(text, 'hello');
  assert.equal(await result.reasoningText, 'hm');
});

test('ai: a tool call, whole and streamed', async () => {
  const request = { model: provider('fake'), prompt: 'say <call>add {"a":1}</call>', tools: { add } };
  const { toolCalls } = await generateText(request);
  assert.deepEqual(toolCalls.map((call) => [call.toolName, call.input]), [['add', { a: 1 }]]);
  const streamed = await streamText(request).toolCalls;
  assert.deepEqual(streamed.map((call) => [call.toolName, call.input]), [['add', { a: 1 }]]);
});

test('ai: an object', async () => {
  const { object } = await generateObject({ model: provider('fake'), schema: z.object({ ok: z.boolean() }), prompt: 'say x' });
  assert.deepEqual(object, { ok: true });
});

test('ai: an embedding', async () => {
  const { embedding } = await embed({ model: provider.textEmbeddingModel('fake'), value: 'abc' });
  assert.equal(embedding.length, 4);
});
