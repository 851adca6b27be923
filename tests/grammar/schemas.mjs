// JSON schemas: some that people write, some for each keyword, and any number of random ones.

const object = (properties, required = Object.keys(properties), more = {}) =>
  ({ type: 'object', properties, required, additionalProperties: false, ...more });
const string = { type: 'string', maxLength: 12 };
const integer = { type: 'integer', minimum: -50, maximum: 1000 };
const list = (items, more = {}) => ({ type: 'array', items, maxItems: 3, ...more });

// What clients send: zod's and pydantic's output, tools, records.
const peoples = {
  'pydantic: optional and default': {
    title: 'Item', type: 'object', required: ['name'],
    properties: { name: { title: 'Name', type: 'string', maxLength: 20 }, price: { anyOf: [{ type: 'number' }, { type: 'null' }], default: null, title: 'Price' } },
  },
  'pydantic: nested models': {
    $defs: { Address: object({ street: string, zip: { type: 'string', pattern: '^\\d{5}$' } }) },
    ...object({ home: { $ref: '#/$defs/Address' }, others: list({ $ref: '#/$defs/Address' }) }),
  },
  'pydantic: discriminated union': {
    $defs: {
      Cat: object({ kind: { const: 'cat', type: 'string' }, lives: { type: 'integer', minimum: 0, maximum: 9 } }),
      Dog: object({ kind: { const: 'dog', type: 'string' }, tricks: list(string) }),
    },
    ...object({ pet: { discriminator: { mapping: { cat: '#/$defs/Cat', dog: '#/$defs/Dog' }, propertyName: 'kind' }, oneOf: [{ $ref: '#/$defs/Cat' }, { $ref: '#/$defs/Dog' }] } }),
  },
  'pydantic: enum class': { $defs: { Mood: { enum: ['good', 'bad'], title: 'Mood', type: 'string' } }, ...object({ mood: { $ref: '#/$defs/Mood' } }) },
  'pydantic: tuple': object({ point: { type: 'array', prefixItems: [integer, integer], minItems: 2, maxItems: 2 } }),
  'pydantic: constrained numbers': object({ ratio: { type: 'number', minimum: 0, maximum: 1 }, page: { type: 'integer', exclusiveMinimum: 0 } }),
  'zod: draft 7': { $schema: 'http://json-schema.org/draft-07/schema#', ...object({ a: { type: ['string', 'null'] }, b: list({ type: 'boolean' }) }, ['a']) },
  'zod: union of literals': object({ unit: { anyOf: [{ const: 'C' }, { const: 'F' }] }, level: { type: 'number', enum: [1, 2, 3] } }),
  'zod: record': object({ scores: { type: 'object', additionalProperties: { type: 'number' } } }),
  'openai: a math step': object({ steps: { type: 'array', items: object({ explanation: string, output: string }) }, final_answer: string }),
  'openai: a user interface': {
    $defs: {}, ...object({
      type: { type: 'string', enum: ['div', 'button', 'field'] }, label: string, children: { type: 'array', items: { $ref: '#' }, maxItems: 2 },
      attributes: list(object({ name: string, value: string })),
    }),
  },
  'openai: a linked list': {
    $defs: { node: object({ value: { type: 'number' }, next: { anyOf: [{ $ref: '#/$defs/node' }, { type: 'null' }] } }) }, ...object({ list: { $ref: '#/$defs/node' } }),
  },
  'tool: weather': object({ location: string, unit: { type: 'string', enum: ['celsius', 'fahrenheit'] } }, ['location']),
  'tool: search': object({ query: { type: 'string', minLength: 1, maxLength: 30 }, filters: object({ from: { type: 'string', format: 'date' }, tags: list(string) }, []) }, ['query']),
  'tool: a shell': object({ command: { type: 'array', items: string, minItems: 1, maxItems: 4 }, timeout_ms: { type: 'integer', minimum: 1, maximum: 600000 } }, ['command']),
  'tool: nothing': { type: 'object', properties: {} },
  'mcp: many options': object(Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`option_${i}`, i % 3 ? { type: 'boolean' } : integer])), ['option_3']),
  'openapi: nullable': object({ a: { type: 'string', nullable: true, maxLength: 5 }, b: { type: 'integer', nullable: true } }),
  'openapi: allOf': { allOf: [object({ id: integer }, ['id'], { additionalProperties: true }), { type: 'object', properties: { name: string }, required: ['name'] }] },
  'a person': object({ name: string, email: { type: 'string', format: 'email' }, born: { type: 'string', format: 'date' }, id: { type: 'string', format: 'uuid' } }),
  'an event': object({ at: { type: 'string', format: 'date-time' }, from: { type: 'string', format: 'ipv4' }, url: { type: 'string', format: 'uri' } }),
  'money': object({ amount: { type: 'number', minimum: 0, multipleOf: 0.01 }, currency: { type: 'string', pattern: '^[A-Z]{3}$' } }),
  'a rating': object({ stars: { type: 'number', minimum: 0, maximum: 5, multipleOf: 0.5 }, helpful: { type: 'integer', minimum: 0, multipleOf: 5 } }),
  'a set of tags': object({ tags: { type: 'array', items: { enum: ['red', 'green', 'blue', 'new'] }, uniqueItems: true, minItems: 1 } }),
  'geojson point': object({ type: { const: 'Point' }, coordinates: { type: 'array', items: { type: 'number', minimum: -180, maximum: 180 }, minItems: 2, maxItems: 3 } }),
  'json patch': list({
    oneOf: [
      object({ op: { enum: ['add', 'replace'] }, path: string, value: true }), object({ op: { const: 'remove' }, path: string }), object({ op: { enum: ['move', 'copy'] }, path: string, from: string }),
    ],
  }),
  'a tree by reference': { $defs: { t: object({ v: integer, kids: { type: 'array', items: { $ref: '#/$defs/t' }, maxItems: 2 } }) }, $ref: '#/$defs/t' },
  'an expression': {
    $defs: { e: { oneOf: [{ type: 'number' }, object({ op: { enum: ['+', '*'] }, args: { type: 'array', items: { $ref: '#/$defs/e' }, minItems: 2, maxItems: 2 } })] } },
    ...object({ expression: { $ref: '#/$defs/e' } }),
  },
  'a message of parts': { oneOf: [string, list({ oneOf: [object({ type: { const: 'text' }, text: string }), object({ type: { const: 'image' }, url: string })] }, { minItems: 1 })] },
  'names with odd characters': object({ 'a"b': integer, 'c\\d': { type: 'null' }, 'é\n😀': string, '': { type: 'boolean' }, '$ref ': integer }, []),
};

// Keyword by keyword.
const keywords = [
  true, {}, { type: 'null' }, { type: 'boolean' }, { type: 'string' }, { type: 'integer' }, { type: 'number' }, { type: 'array' }, { type: 'object' },
  { type: ['integer', 'string'] }, { type: ['object', 'null'] }, { title: 'no type' }, { description: 'x', default: 1, examples: [1] },
  { enum: [1, 'a', null, true, [1, { a: 2 }], { b: [] }, -0.5, 1e3] }, { const: { a: [1, 'x"y'] } }, { type: 'integer', enum: [1, 2.5, 3] }, { enum: [[], {}, ''] },
  ...[[0, 0], [0, 3], [2, 5], [1, 40]].map(([minLength, maxLength]) => ({ type: 'string', minLength, maxLength })), { type: 'string', minLength: 3 },
  ...['^a+$', 'b', '^[A-Z][a-z]{1,5}$', '^(yes|no)$', '^\\d{3}-\\d{4}$', 'x$', '^[^"\\\\]{1,4}$', '^\\w+\\s\\w+$', '^[\\u00e0-\\u00ff]{2}$', '^$', '^(?:a|b)*c?$']
    .map((pattern) => ({ type: 'string', pattern })),
  ...['date', 'time', 'date-time', 'duration', 'uuid', 'ipv4', 'ipv6', 'hostname', 'email', 'uri'].map((format) => ({ type: 'string', format })),
  { type: 'string', format: 'int32' },
  ...[[0, 9], [-5, 5], [10, 99], [1, 1], [-100, -90], [95, 1005], [0.5, 3.5], [-1e6, 1e6], [999, 1000], [123456, 123460]]
    .flatMap(([minimum, maximum]) => [{ type: 'integer', minimum, maximum }, { type: 'number', minimum, maximum }, { type: 'number', exclusiveMinimum: minimum, maximum: maximum + 1 }]),
  { type: 'integer', minimum: 7 }, { type: 'integer', maximum: -7 }, { type: 'integer', exclusiveMinimum: -1 }, { type: 'integer', exclusiveMaximum: 1 }, { type: 'number', minimum: 0.001, exclusiveMaximum: 0.0105 },
  { type: 'number', exclusiveMinimum: -0.5, exclusiveMaximum: 0.5 }, { type: 'number', maximum: 0 }, { type: 'number', exclusiveMinimum: 0 },
  ...[1, 2, 3, 7, 10, 25, 64, 100].flatMap((multipleOf) => [
    { type: 'integer', multipleOf }, { type: 'integer', multipleOf, minimum: 0 }, { type: 'integer', multipleOf, minimum: 13, maximum: 5000 }, { type: 'integer', multipleOf, exclusiveMinimum: -99999, maximum: 777777 }]),
  ...[0.1, 0.01, 0.5, 0.25, 2.5].flatMap((multipleOf) => [{ type: 'number', multipleOf }, { type: 'number', multipleOf, minimum: -1, maximum: 9.5 }, { type: 'integer', multipleOf }]),
  { type: 'number', multipleOf: 0.01, minimum: 0.995, exclusiveMaximum: 1234.5 }, { type: 'integer', multipleOf: 365 },
  list(integer), list(string, { minItems: 1 }), list(integer, { minItems: 3 }), { type: 'array', maxItems: 0 }, { type: 'array', items: false }, list({ enum: [1, 2] }, { minItems: 2 }),
  { type: 'array', prefixItems: [integer, string] }, { type: 'array', prefixItems: [integer, string], items: false }, { type: 'array', prefixItems: [integer], items: { type: 'boolean' }, minItems: 2, maxItems: 4 },
  { type: 'array', prefixItems: [{ const: 1 }, { const: 2 }, { const: 3 }], minItems: 1, maxItems: 2 },
  ...[0, 1, 3].flatMap((minItems) => [{ type: 'array', items: { enum: ['a', 'b', 'c', 1] }, uniqueItems: true, minItems }, { type: 'array', items: { type: 'boolean' }, uniqueItems: true, minItems: Math.min(minItems, 2) }]),
  { type: 'array', items: { anyOf: [{ const: 'x' }, { enum: ['x', 'y'] }, { type: 'null' }] }, uniqueItems: true, minItems: 2, maxItems: 2 },
  object({ a: integer, b: string, c: { type: 'null' } }, []), object({ a: integer, b: string, c: { type: 'null' } }, ['b']), object({ a: integer, b: string }, ['a', 'b']),
  { type: 'object', properties: { a: integer, ab: string }, additionalProperties: { type: 'boolean' } }, { type: 'object', properties: { a: integer }, required: ['a'], additionalProperties: true },
  { type: 'object', additionalProperties: integer }, { type: 'object', additionalProperties: integer, maxProperties: 2 }, { type: 'object', minProperties: 1 }, { type: 'object', additionalProperties: false },
  { type: 'object', patternProperties: { '^x_[a-z]{1,4}$': integer }, additionalProperties: false }, { type: 'object', required: ['a', 'b'], additionalProperties: integer },
  { anyOf: [integer, string] }, { anyOf: [object({ a: integer }), object({ b: integer })] }, { type: 'integer', anyOf: [{ minimum: 10 }, { maximum: -10 }] }, { anyOf: [{ const: 1 }, { const: 2 }, { type: 'null' }] },
  { oneOf: [integer, { type: 'null' }] }, { oneOf: [{ type: 'integer', maximum: 3 }, { type: 'integer', minimum: 10, maximum: 20 }] }, { oneOf: [{ enum: ['a', 'b'] }, { enum: ['c'] }] },
  { oneOf: [{ type: 'string', maxLength: 2 }, { type: 'string', minLength: 4, maxLength: 6 }] }, { oneOf: [list(integer, { minItems: 3 }), list(string, { maxItems: 2 })] },
  { oneOf: [{ properties: { a: string }, required: ['a'] }, { properties: { b: string }, required: ['b'] }] },
  { oneOf: [object({ t: { const: 1 }, v: integer }), object({ t: { const: 2 }, v: string }), object({ t: { enum: [3, 4] } })] },
  { oneOf: [object({ deep: object({ t: { const: 'x' } }) }), object({ deep: object({ t: { const: 'y' } }) })] },
  { oneOf: [{ type: 'array', prefixItems: [{ const: 'p' }, integer], minItems: 2, maxItems: 2 }, { type: 'array', prefixItems: [{ const: 'q' }], minItems: 1, maxItems: 1 }] },
  { oneOf: [{ type: 'boolean' }, { anyOf: [{ type: 'null' }, { type: 'integer' }] }] },
  { allOf: [integer, { minimum: 5 }, { maximum: 8 }] }, { allOf: [{ enum: ['a', 'b', 'c'] }, { enum: ['b', 'c', 'd'] }] }, { allOf: [{ type: ['integer', 'null'] }, { type: ['null', 'string'] }] },
  { $defs: { p: { type: 'integer', minimum: 1 } }, ...object({ a: { $ref: '#/$defs/p', maximum: 9 } }) }, { $defs: { a: { $ref: '#/$defs/b' }, b: string }, $ref: '#/$defs/a' },
  object({ self: { anyOf: [{ $ref: '#' }, { type: 'null' }] } }),
];

// What is refused, each with the word that the message has to hold.
export const refused = [
  [{ not: { type: 'string' } }, 'not'], [{ if: {}, then: {} }, 'if'], [{ type: 'array', contains: { type: 'integer' } }, 'contains'], [{ type: 'array', uniqueItems: true }, 'uniqueItems'],
  [{ type: 'array', items: integer, uniqueItems: true }, 'uniqueItems'], [{ type: 'object', propertyNames: { maxLength: 3 } }, 'propertyNames'], [{ type: 'object', dependentRequired: { a: ['b'] } }, 'dependentRequired'],
  [{ oneOf: [{ type: 'integer' }, { type: 'number' }] }, 'oneOf'], [{ oneOf: [{ type: 'string' }, { type: 'string', maxLength: 3 }] }, 'oneOf'], [{ oneOf: [{ type: 'object' }, { type: 'object', properties: { a: {} } }] }, 'oneOf'],
  [{ type: 'integer', minimum: 0, multipleOf: 1001 }, 'multipleOf'], [{ type: 'object', minProperties: 2 }, 'minProperties'], [{ $ref: 'http://example.org/x' }, '$ref'], [{ type: 'string', format: 'regex' }, 'format'],
  [{ type: 'object', unevaluatedProperties: false }, 'unevaluatedProperties'], [{ $dynamicRef: '#x' }, '$dynamicRef'],
];

// -- random schemas

export function makeRandom(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const below = (n) => Math.floor(next() * n);
  return { next, below, pick: (items) => items[below(items.length)], chance: (p) => next() < p };
}

const names = ['a', 'b', 'ab', 'name', 'id', 'née', 'x y', '0', 'value', 'List'];

function randomBounds(r, low, high) {
  const span = r.pick([0, 1, 9, 10, 11, 99, 500, 12345]);
  const from = r.below(2000) - 1000;
  const out = {};
  if (r.chance(0.7)) out[r.chance(0.8) ? low : `exclusive${low[0].toUpperCase()}${low.slice(1)}`] = from;
  if (r.chance(0.7)) out[r.chance(0.8) ? high : `exclusive${high[0].toUpperCase()}${high.slice(1)}`] = from + span + 2;
  return out;
}

function leaf(r) {
  switch (r.below(9)) {
    case 0: return { type: 'boolean' };
    case 1: return { type: 'null' };
    case 2: return { type: 'integer', ...randomBounds(r, 'minimum', 'maximum') };
    case 3: return { type: 'number', ...randomBounds(r, 'minimum', 'maximum') };
    case 4: return { type: 'integer', multipleOf: 1 + r.below(20), ...(r.chance(0.5) ? randomBounds(r, 'minimum', 'maximum') : {}) };
    case 5: return { type: 'string', ...(r.chance(0.5) ? { minLength: r.below(4) } : {}), maxLength: 4 + r.below(8) };
    case 6: return { enum: Array.from({ length: 1 + r.below(4) }, (_, i) => r.pick([i, `v${i}`, i + 0.5, null, [i], { k: i }])) };
    case 7: return { const: r.pick([1, 'one', null, false, [1, 2], { a: { b: 1 } }]) };
    default: return { type: 'string', pattern: r.pick(['^[a-c]{1,3}$', '^\\d+(\\.\\d\\d)?$', '^(on|off)$', '^[A-Z]+-[0-9]{2}$']) };
  }
}

export function randomSchema(r, depth) {
  if (depth === 0 || r.chance(0.25)) return leaf(r);
  const inner = () => randomSchema(r, depth - 1);
  switch (r.below(7)) {
    case 0: case 1: case 2: {
      const chosen = [...new Set(Array.from({ length: 1 + r.below(4) }, () => r.pick(names)))];
      const properties = Object.fromEntries(chosen.map((name) => [name, inner()]));
      const out = { type: 'object', properties, required: chosen.filter(() => r.chance(0.5)) };
      if (r.chance(0.7)) out.additionalProperties = r.chance(0.7) ? false : leaf(r);
      return out;
    }
    case 3: return { type: 'array', items: inner(), ...(r.chance(0.5) ? { minItems: r.below(3) } : {}), maxItems: 2 + r.below(2) };
    case 4: return { type: 'array', prefixItems: [inner(), inner()], ...(r.chance(0.5) ? { items: false } : { maxItems: 4 }), ...(r.chance(0.5) ? { minItems: r.below(3) } : {}) };
    case 5: return { anyOf: [inner(), inner()] };
    default:
      return { oneOf: [object({ t: { const: 'p' }, v: inner() }), object({ t: { const: 'q' }, w: inner() })] };
  }
}

export function allSchemas(randomCount) {
  const out = Object.entries(peoples).map(([name, schema]) => ({ name, schema }));
  keywords.forEach((schema, i) => out.push({ name: `keyword ${i}`, schema }));
  const r = makeRandom(20261122);
  for (let i = 0; i < randomCount; ++i) out.push({ name: `random ${i}`, schema: randomSchema(r, 3) });
  return out;
}
