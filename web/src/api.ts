// The only door to the server: typed calls on its public HTTP API.

export interface Model {
  id: string;
  owned_by?: string;
  parent?: string | null;
  max_model_len?: number;
  sampling?: Record<string, number>; // what the model's authors recommend
}

export interface ChatMessage {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

export interface TokenLogprob {
  token: string;
  logprob: number;
}

export interface Token extends TokenLogprob {
  top_logprobs: TokenLogprob[];
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  prompt_tokens_details?: { cached_tokens?: number } | null;
}

export interface Delta {
  text: string;
  reasoning: string;
  tokens: Token[];
  finish: string | null;
  usage: Usage | null;
}

export interface Quantiles {
  p50: number | null;
  p99: number | null;
}

// One line of GET /v1/hearth/stats.
export interface Stats {
  time: number;
  running: number;
  waiting: number;
  kv_cache_usage: number;
  kv_cache_cached: number;
  tokens_per_step: number | null;
  prompt_tokens_per_second: number;
  generation_tokens_per_second: number;
  ttft_seconds: Quantiles;
  itl_seconds: Quantiles;
}

export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

function headers(key: string): Record<string, string> {
  return key ? { 'content-type': 'application/json', authorization: `Bearer ${key}` } : { 'content-type': 'application/json' };
}

async function fail(response: Response): Promise<never> {
  let message = `${response.status} ${response.statusText}`;
  try {
    const body = await response.json();
    message = body?.error?.message ?? message;
  } catch {
    // Not JSON: the status line has to do.
  }
  throw new ApiError(response.status, message);
}

export async function listModels(key: string): Promise<Model[]> {
  const response = await fetch('v1/models', { headers: headers(key) });
  if (!response.ok) return fail(response);
  return (await response.json()).data;
}

// Which program stands behind the page: `hearth serve`, or the scheduler of a fleet.
export interface About {
  version: string;
  service: 'serve' | 'forge';
}

export async function about(): Promise<About> {
  const response = await fetch('version');
  const { version = '', service = 'serve' } = response.ok ? await response.json() : {};
  return { version, service };
}

// Who asks; an admin may do so in the name of a project.
export interface Caller {
  key: string;
  project?: string;
}

export interface Ask {
  method?: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  body?: object; // FormData goes as it is
  signal?: AbortSignal;
}

async function send(caller: Caller, path: string, { method = 'GET', body, signal }: Ask): Promise<Response> {
  const form = body instanceof FormData;
  const all: Record<string, string> = caller.key ? { authorization: `Bearer ${caller.key}` } : {};
  if (caller.project) all['openai-project'] = caller.project;
  if (body && !form) all['content-type'] = 'application/json';
  const response = await fetch(path, { method, headers: all, body: form || !body ? (body as FormData | undefined) : JSON.stringify(body), signal });
  return response.ok ? response : fail(response);
}

export async function ask<T>(caller: Caller, path: string, options: Ask = {}): Promise<T> {
  const response = await send(caller, path, options);
  const json = response.headers.get('content-type')?.includes('json');
  return (json ? await response.json() : await response.text()) as T;
}

// A link cannot send a key: the bytes are fetched and handed to the browser as a file.
export async function download(caller: Caller, path: string, name: string) {
  const url = URL.createObjectURL(await (await send(caller, path, {})).blob());
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// The events of a stream that only a GET with a key opens.
export async function* follow<T>(caller: Caller, path: string, signal: AbortSignal): AsyncGenerator<T> {
  const response = await send(caller, path, { signal });
  if (response.body) for await (const event of events(response.body)) yield event as T;
}

// The data lines of a server-sent event stream, one JSON value each, until [DONE].
async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<unknown> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let pending = '';
  for (;;) {
    const { done, value } = await reader.read();
    pending += decoder.decode(value, { stream: !done });
    const lines = pending.split(/\r?\n/);
    pending = lines.pop() ?? '';
    for (const line of lines) {
      if (!line.startsWith('data:')) continue;
      const data = line.slice(5).trim();
      if (data === '[DONE]') return;
      yield JSON.parse(data);
    }
    if (done) return;
  }
}

function chatDelta(event: any): Delta {
  if (event.error) throw new ApiError(500, event.error.message);
  const choice = event.choices?.[0];
  return {
    text: choice?.delta?.content ?? '',
    reasoning: choice?.delta?.reasoning_content ?? '',
    tokens: choice?.logprobs?.content ?? [],
    finish: choice?.finish_reason ?? null,
    usage: event.usage ?? null,
  };
}

export async function* streamChat(body: object, key: string, signal: AbortSignal): AsyncGenerator<Delta> {
  const response = await fetch('v1/chat/completions', {
    method: 'POST',
    headers: headers(key),
    body: JSON.stringify(body),
    signal,
  });
  if (!response.ok || !response.body) return fail(response);
  for await (const event of events(response.body)) yield chatDelta(event);
}

export async function* streamStats(key: string, signal: AbortSignal): AsyncGenerator<Stats> {
  const response = await fetch('v1/hearth/stats', { headers: headers(key), signal });
  if (!response.ok || !response.body) return fail(response);
  for await (const event of events(response.body)) yield event as Stats;
}
