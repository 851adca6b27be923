// The current conversation as code that a developer can paste.

export type Language = 'curl' | 'Python' | 'JavaScript';
export const languages: Language[] = ['curl', 'Python', 'JavaScript'];

type Body = Record<string, unknown> & { model: string; messages: unknown[] };

// What the official clients accept by name; everything else travels in their "extra" door.
const standard = new Set([
  'model', 'messages', 'max_tokens', 'temperature', 'top_p', 'presence_penalty', 'frequency_penalty', 'seed', 'stop',
]);

// A key is never written out: where the server wants one, the code takes it from the environment.
export type Key = 'none' | 'environment';

export function snippet(language: Language, origin: string, body: Body, key: Key): string {
  switch (language) {
    case 'curl':
      return curl(origin, body, key);
    case 'Python':
      return python(origin, body, key);
    case 'JavaScript':
      return javascript(origin, body, key);
  }
}

function curl(origin: string, body: Body, key: Key): string {
  const authorization = key === 'none' ? '' : `  -H "Authorization: Bearer $HEARTH_API_KEY" \\\n`;
  const json = JSON.stringify({ ...body, stream: true }, null, 2).replace(/'/g, `'\\''`);
  return `curl -N ${origin}/v1/chat/completions \\\n  -H 'Content-Type: application/json' \\\n${authorization}  -d '${json}'\n`;
}

function pythonValue(value: unknown, indent: string): string {
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (Array.isArray(value)) {
    const inner = value.map((item) => `${indent}    ${pythonValue(item, `${indent}    `)},\n`).join('');
    return `[\n${inner}${indent}]`;
  }
  if (typeof value === 'object') {
    return `{${Object.entries(value as object).map(([key, item]) => `${JSON.stringify(key)}: ${pythonValue(item, indent)}`).join(', ')}}`;
  }
  return JSON.stringify(value);
}

function python(origin: string, body: Body, key: Key): string {
  const [imports, secret] = key === 'none' ? ['', '"none"'] : ['import os\n', 'os.environ["HEARTH_API_KEY"]'];
  const named = Object.entries(body).filter(([key]) => standard.has(key));
  const extra = Object.fromEntries(Object.entries(body).filter(([key]) => !standard.has(key)));
  const lines = named.map(([key, value]) => `    ${key}=${pythonValue(value, '    ')},\n`).join('');
  const extraLine = Object.keys(extra).length > 0 ? `    extra_body=${pythonValue(extra, '    ')},\n` : '';
  return `${imports}from openai import OpenAI

client = OpenAI(base_url="${origin}/v1", api_key=${secret})
stream = client.chat.completions.create(
${lines}${extraLine}    stream=True,
)
for chunk in stream:
    print(chunk.choices[0].delta.content or "", end="", flush=True)
`;
}

function javascript(origin: string, body: Body, key: Key): string {
  const secret = key === 'none' ? "'none'" : 'process.env.HEARTH_API_KEY';
  return `import OpenAI from 'openai';

const client = new OpenAI({ baseURL: '${origin}/v1', apiKey: ${secret} });
const stream = await client.chat.completions.create(${JSON.stringify({ ...body, stream: true }, null, 2)});
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta?.content ?? '');
}
`;
}
