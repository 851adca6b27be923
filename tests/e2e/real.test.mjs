// The program with the model inside it, driven by the clients of others. A small model may say anything; what is held here is
// everything else: shapes, limits, and that what is forced is obeyed.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { embed, generateObject, generateText, jsonSchema, streamText, tool } from 'ai';
import OpenAI from 'openai';
import { z } from 'zod';
import { startHearth } from './server.mjs';

let server;
let openai;
let anthropic;
let ai;
let model;
before(async () => {
  server = await startHearth();
  openai = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
  anthropic = new Anthropic({ baseURL: server.url, apiKey: 'none', maxRetries: 0 });
  model = (await openai.models.list()).data[0].id;
  ai = createOpenAICompatible({ name: 'hearth', baseURL: `${server.url}/v1`, supportsStructuredOutputs: true });
});
after(() => server.stop());

const ask = (text) => [{ role: 'user', content: text }];

// JSON Schema counts characters, JavaScript's length halves of some.
const textUpTo = (characters) => z.string().refine((text) => [...text].length <= characters);

const Person = z.object({
  name: textUpTo(40),
  age: z.number().int().min(0).max(130),
  mood: z.enum(['merry', 'grim', 'sleepy']),
  scores: z.array(z.number().min(0).max(1)).min(2).max(3),
  home: z.object({ town: textUpTo(30), zip: z.string().regex(/^[0-9]{5}$/) }).nullable(),
}).strict();
const personSchema = {
  type: 'object',
  properties: {
    name: { type: 'string', maxLength: 40 },
    age: { type: 'integer', minimum: 0, maximum: 130 },
    mood: { enum: ['merry', 'grim', 'sleepy'] },
    scores: { type: 'array', items: { type: 'number', minimum: 0, maximum: 1 }, minItems: 2, maxItems: 3 },
    home: {
      anyOf: [
        { type: 'null' },
        {
          type: 'object', additionalProperties: false, required: ['town', 'zip'],
          properties: { town: { type: 'string', maxLength: 30 }, zip: { type: 'string', pattern: '^[0-9]{5}$' } },
        },
      ],
    },
  },
  required: ['name', 'age', 'mood', 'scores', 'home'],
  additionalProperties: false,
};
const weather = {
  name: 'get_weather', description: 'The weather of a town',
  parameters: {
    type: 'object', additionalProperties: false, required: ['city', 'unit'],
    properties: { city: { type: 'string', maxLength: 30 }, unit: { enum: ['celsius', 'fahrenheit'] } },
  },
};
const Weather = z.object({ city: textUpTo(30), unit: z.enum(['celsius', 'fahrenheit']) }).strict();

test('real: a streamed chat is the whole one, token for token', async () => {
  const request = { model, messages: ask('Tell me about a river.'), temperature: 0, max_tokens: 48 };
  const whole = await openai.chat.completions.create({ ...request, return_token_ids: true });
  let text = '';
  let usage = null;
  const ids = [];
  let promptIds = null;
  const stream = await openai.chat.completions.create({
    ...request, stream: true, return_token_ids: true, stream_options: { include_usage: true },
  });
  for await (const chunk of stream) {
    promptIds ??= chunk.prompt_token_ids;
    text += chunk.choices[0]?.delta?.content ?? '';
    ids.push(...(chunk.choices[0]?.token_ids ?? []));
    usage = chunk.usage ?? usage;
  }
  assert.ok(text.length > 0);
  assert.equal(text, whole.choices[0].message.content);
  assert.deepEqual(ids, whole.choices[0].token_ids);
  assert.deepEqual(promptIds, whole.prompt_token_ids);
  assert.equal(promptIds.length, usage.prompt_tokens);
  assert.equal(ids.length, usage.completion_tokens);
  assert.deepEqual({ ...usage, prompt_tokens_details: null }, { ...whole.usage, prompt_tokens_details: null });
});

test('real: a seed repeats itself, and n gives several', async () => {
  const request = { model, messages: ask('Name an animal.'), temperature: 1, seed: 7, max_tokens: 16, n: 3 };
  const texts = async () => (await openai.chat.completions.create(request)).choices.map((choice) => choice.message.content);
  const first = await texts();
  assert.equal(first.length, 3);
  assert.deepEqual(await texts(), first);
});

test('real: completions with echo and logprobs', async () => {
  const reply = await openai.completions.create({
    model, prompt: 'Once upon a time', max_tokens: 8, temperature: 0, echo: true, logprobs: 3,
  });
  const { text, logprobs } = reply.choices[0];
  assert.ok(text.startsWith('Once upon a time') && text.length > 'Once upon a time'.length);
  assert.equal(logprobs.tokens.length, reply.usage.total_tokens);
  assert.equal(logprobs.token_logprobs[0], null);
  for (const value of logprobs.token_logprobs.slice(1)) assert.ok(value <= 0);
  // Greedy: what was chosen is the best of the three.
  for (let i = reply.usage.prompt_tokens; i < logprobs.tokens.length; ++i) {
    assert.ok(Math.abs(logprobs.token_logprobs[i] - Math.max(...Object.values(logprobs.top_logprobs[i]))) < 1e-6);
    assert.ok(Object.keys(logprobs.top_logprobs[i]).length <= 3);
  }
  // The same probabilities whether the text was generated or only scored.
  const scored = await openai.completions.create({
    model, prompt: await tokenIds(text), max_tokens: 0, echo: true, logprobs: 3,
  });
  assert.equal(scored.usage.completion_tokens, 0);
  if (scored.choices[0].logprobs.tokens.length !== logprobs.tokens.length) return; // cut into other tokens
  assert.deepEqual(scored.choices[0].logprobs.token_logprobs, logprobs.token_logprobs);
});

async function tokenIds(text) {
  const response = await fetch(`${server.url}/tokenize`, { method: 'POST', body: JSON.stringify({ prompt: text }) });
  return (await response.json()).tokens;
}

test('real: the model obeys a JSON schema, hot or cold', async () => {
  for (const temperature of [0, 1, 2]) {
    const reply = await openai.chat.completions.create({
      model, messages: ask('Describe a person.'), temperature, seed: 3, max_tokens: 300,
      response_format: { type: 'json_schema', json_schema: { name: 'person', strict: true, schema: personSchema } },
    });
    assert.equal(reply.choices[0].finish_reason, 'stop');
    Person.parse(JSON.parse(reply.choices[0].message.content));
  }
});

test('real: any JSON object, a regex, a choice, a grammar', async () => {
  const say = async (more) => (await openai.chat.completions.create({
    model, messages: ask('Answer.'), temperature: 1, seed: 1, max_tokens: 120, ...more,
  })).choices[0];
  const object = await say({ response_format: { type: 'json_object' } });
  if (object.finish_reason === 'stop') assert.equal(typeof JSON.parse(object.message.content), 'object');
  else assert.ok(object.message.content.startsWith('{'));
  assert.match((await say({ guided_regex: '[a-f]{3}-[0-9]{4}' })).message.content, /^[a-f]{3}-[0-9]{4}$/);
  assert.ok(['up', 'down'].includes((await say({ structured_outputs: { choice: ['up', 'down'] } })).message.content));
  assert.match((await say({ guided_grammar: 'root ::= ("ab" | "c")+ "."' })).message.content ?? '', /^(ab|c)+\.?$/);
  assert.match((await say({ grammar: 'root ::= [x-z]{3}' })).message.content, /^[x-z]{3}$/);
});

test('real: a forced tool is called with arguments of its schema', async () => {
  const tools = [{ type: 'function', function: weather }];
  for (const tool_choice of ['required', { type: 'function', function: { name: 'get_weather' } }]) {
    const request = { model, messages: ask('Is it warm in Oslo?'), tools, tool_choice, temperature: 1, seed: 5, max_tokens: 200 };
    const [call] = (await openai.chat.completions.create(request)).choices[0].message.tool_calls;
    assert.equal(call.function.name, 'get_weather');
    Weather.parse(JSON.parse(call.function.arguments));
    const streamed = await openai.beta.chat.completions.stream(request).finalChatCompletion();
    assert.equal(streamed.choices[0].message.tool_calls[0].function.arguments, call.function.arguments);
  }
});

test('real: with a format and tools the answer is one or the other', async () => {
  const kinds = new Set();
  for (let seed = 1; seed <= 8; ++seed) {
    const { message, finish_reason } = (await openai.chat.completions.create({
      model, messages: ask('Is it warm in Oslo?'), tools: [{ type: 'function', function: weather }], temperature: 2, seed, max_tokens: 300,
      response_format: { type: 'json_schema', json_schema: { name: 'person', schema: personSchema } },
    })).choices[0];
    kinds.add(finish_reason);
    if (finish_reason === 'tool_calls') Weather.parse(JSON.parse(message.tool_calls[0].function.arguments));
    else Person.parse(JSON.parse(message.content));
  }
  assert.ok([...kinds].every((kind) => kind === 'tool_calls' || kind === 'stop'), [...kinds].join());
});

test('real: embeddings are unit vectors, and near for near words', async () => {
  const { data } = await openai.embeddings.create({ model, input: ['a small dog', 'a small dog', 'the price of copper in 1890'] });
  const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  const [first, again, far] = data.map((entry) => entry.embedding);
  assert.ok(Math.abs(dot(first, first) - 1) < 1e-4);
  assert.deepEqual(again, first);
  assert.ok(dot(first, far) < 0.999);
});

test('real: responses are stored and gone on from', async () => {
  const first = await openai.responses.create({ model, input: 'My name is Ada.', max_output_tokens: 16, temperature: 0 });
  const second = await openai.responses.create({ model, input: 'And?', previous_response_id: first.id, max_output_tokens: 16, temperature: 0 });
  assert.equal(second.previous_response_id, first.id);
  assert.ok(second.usage.input_tokens > first.usage.input_tokens + first.usage.output_tokens);
  assert.ok(second.usage.input_tokens_details.cached_tokens > 0);
  assert.deepEqual((await openai.responses.retrieve(first.id)).output, first.output);
  let last;
  for await (const event of await openai.responses.create({ model, input: 'Hello.', max_output_tokens: 4, temperature: 0, stream: true })) last = event;
  assert.equal(last.type, 'response.incomplete');
  assert.equal(last.response.usage.output_tokens, 4);
});

test('real: messages, whole and streamed, with a forced tool', async () => {
  const request = { model, max_tokens: 1024, temperature: 0, system: 'Be brief.', messages: ask('Say hello.') };
  const whole = await anthropic.messages.create(request);
  let text = '';
  const stream = anthropic.messages.stream(request);
  stream.on('text', (delta) => { text += delta; });
  const streamed = await stream.finalMessage();
  assert.equal(text, whole.content[0].text);
  assert.equal(streamed.stop_reason, whole.stop_reason);
  const { input_tokens: counted } = await anthropic.messages.countTokens({ model, system: request.system, messages: request.messages });
  assert.equal(counted, whole.usage.input_tokens + whole.usage.cache_read_input_tokens);
  const called = await anthropic.messages.create({
    ...request, max_tokens: 200, tools: [{ name: weather.name, description: weather.description, input_schema: weather.parameters }],
    tool_choice: { type: 'tool', name: weather.name },
  });
  assert.equal(called.stop_reason, 'tool_use');
  Weather.parse(called.content.find((block) => block.type === 'tool_use').input);
});

test('real: the ai package: text, a stream, an object, a tool, an embedding', async () => {
  const chat = ai(model);
  const { text } = await generateText({ model: chat, prompt: 'Say hello.', temperature: 0, maxOutputTokens: 24 });
  let streamed = '';
  for await (const delta of streamText({ model: chat, prompt: 'Say hello.', temperature: 0, maxOutputTokens: 24 }).textStream) streamed += delta;
  assert.equal(streamed, text);
  const { object } = await generateObject({ model: chat, schema: jsonSchema(personSchema), prompt: 'Describe a person.', maxOutputTokens: 300 });
  Person.parse(object);
  const { toolCalls } = await generateText({
    model: chat, prompt: 'Is it warm in Oslo?', toolChoice: 'required', maxOutputTokens: 200,
    tools: { get_weather: tool({ description: weather.description, inputSchema: jsonSchema(weather.parameters) }) },
  });
  Weather.parse(toolCalls[0].input);
  const { embedding } = await embed({ model: ai.textEmbeddingModel(model), value: 'river' });
  assert.ok(embedding.length > 0);
});

test('real: a stop string ends the text before it', async () => {
  const whole = await openai.completions.create({ model, prompt: 'Once upon a time', max_tokens: 40, temperature: 0 });
  const word = whole.choices[0].text.trim().split(/\s+/)[3];
  const cut = await openai.completions.create({ model, prompt: 'Once upon a time', max_tokens: 40, temperature: 0, stop: [word] });
  assert.equal(cut.choices[0].text, whole.choices[0].text.slice(0, whole.choices[0].text.indexOf(word)));
  assert.equal(cut.choices[0].finish_reason, 'stop');
  assert.equal(cut.choices[0].stop_reason, word);
});

test('real: lengths up to the context and beyond', async () => {
  const { max_model_len: context } = (await openai.models.list()).data[0];
  const [token] = (await tokenIds('a')).slice(-1);
  const complete = (prompt, max_tokens, more) => openai.completions.create({
    model, prompt: Array(prompt).fill(token), max_tokens, ignore_eos: true, temperature: 0, ...more,
  });
  const full = await complete(context - 1, 1);
  assert.equal(full.usage.total_tokens, context);
  assert.equal((await complete(8, context - 8)).choices[0].finish_reason, 'length');
  for (const [prompt, output] of [[context, 1], [context + 1, 1], [8, context - 7]]) {
    await assert.rejects(complete(prompt, output), (error) => error.status === 400 && error.code === 'context_length_exceeded');
  }
  // In chat the limit is an upper bound: the context ends the text.
  const chat = await openai.chat.completions.create({ model, messages: ask('Go on.'), max_tokens: 1e6, ignore_eos: true, temperature: 0 });
  assert.equal(chat.choices[0].finish_reason, 'length');
  assert.equal(chat.usage.total_tokens, context);
});
