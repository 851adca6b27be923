// Conversations that a chat template meets: every role, tools, parts, odd text.

const weather = { type: 'function', function: { name: 'get_weather', description: 'Weather in a city, "now" – in °C <or °F>.', parameters: { type: 'object', properties: { city: { type: 'string', description: 'Name, e.g. Zürich' }, unit: { type: 'string', enum: ['c', 'f'], default: 'c' }, days: { type: ['integer', 'null'] } }, required: ['city'] } } };
const clock = { type: 'function', function: { name: 'time', description: 'The time', parameters: { type: 'object', properties: {} } } };
const call = (name, args, id = 'call_0001') => ({ id, type: 'function', function: { name, arguments: args } });

const user = (content) => ({ role: 'user', content });
const assistant = (content, more = {}) => ({ role: 'assistant', content, ...more });
const system = (content) => ({ role: 'system', content });
const tool = (content, more = {}) => ({ role: 'tool', content, tool_call_id: 'call_0001', name: 'get_weather', ...more });
const text = (value) => [{ type: 'text', text: value }];

const chats = {
  one: [user('Hello')],
  system: [system('You are terse.'), user('Hello')],
  turns: [user('Hello'), assistant('Hi!'), user('How are you?')],
  'system turns': [system('You are terse.\n'), user(' Hello '), assistant(' Hi!\n'), user('How\n\nare you?')],
  long: [system('S'), ...Array.from({ length: 12 }, (_, i) => (i % 2 ? assistant(`answer ${i}`) : user(`question ${i}`))), user('last')],
  'ends with assistant': [user('a'), assistant('b')],
  'two users': [user('a'), user('b')],
  'system later': [user('a'), system('be nice'), user('b')],
  unicode: [system('日本語で。'), user('Grüße 👋🏽 \u202eabc\u202c e\u0301 العربية'), assistant('😀'), user('tab\there\r\nnul-free \u0007')],
  markup: [user('<b>&amp; "quotes" \'single\' {{ n }} {% if %} <|im_end|> [INST]</b>')],
  empty: [user('')],
  'empty system': [system(''), user('x')],
  'no messages': [],
  parts: [user(text('Hello')), assistant(text('Hi')), user([{ type: 'text', text: 'two' }, { type: 'text', text: 'parts' }])],
  'system parts': [system(text('Be nice')), user(text('x'))],
  image: [user([{ type: 'image' }, { type: 'text', text: 'what is it?' }])],
  'tool call': [user('Weather in Zürich?'), assistant('', { tool_calls: [call('get_weather', { city: 'Zürich', days: 2, nested: { a: [1, 2.5, null, true] } })] }), tool('{"temp": 21}'), assistant('It is 21 °C.'), user('Thanks')],
  'tool call as text': [user('Weather?'), assistant('', { tool_calls: [call('get_weather', '{"city": "Oslo"}')] }), tool('12')],
  'tool call null content': [system('S'), user('Weather?'), assistant(null, { tool_calls: [call('get_weather', { city: 'Oslo' }, 'abcdefghi')] }), tool('{"t": 1}', { tool_call_id: 'abcdefghi' }), assistant('ok'), user('more')],
  'tool call with content': [user('Weather?'), assistant('Let me look.', { tool_calls: [call('get_weather', { city: 'A' })] }), tool('x'), user('next')],
  'two tool calls': [user('Both?'), assistant('', { tool_calls: [call('get_weather', { city: 'A' }, 'aaaaaaaa1'), call('time', {}, 'aaaaaaaa2')] }), tool('1', { tool_call_id: 'aaaaaaaa1' }), tool('2', { tool_call_id: 'aaaaaaaa2' }), assistant('done')],
  thinking: [user('2+2?'), assistant('<think>\neasy\n</think>\n\n4'), user('3+3?')],
  'reasoning field': [user('2+2?'), assistant('4', { reasoning_content: 'easy' }), user('3+3?')],
  'reasoning and tool': [user('w?'), assistant('', { reasoning_content: 'must look', tool_calls: [call('get_weather', { city: 'A' })] }), tool('sun'), assistant('<think>x</think>sun'), user('k')],
  'unknown role': [{ role: 'developer', content: 'x' }, user('y')],
};

// Every conversation, with and without tools, a generation prompt and thinking.
export function conversations() {
  const out = [];
  for (const [name, messages] of Object.entries(chats)) {
    const usesTools = name.includes('tool');
    for (const tools of usesTools ? [[weather, clock]] : [null, [weather, clock]]) {
      for (const prompt of [false, true]) {
        out.push({ name: `${name}${tools ? ' +tools' : ''}${prompt ? ' +prompt' : ''}`, variables: { messages, tools, documents: null, add_generation_prompt: prompt } });
      }
    }
    out.push({ name: `${name} no thinking`, variables: { messages, tools: null, documents: null, add_generation_prompt: true, enable_thinking: false } });
  }
  return out;
}
