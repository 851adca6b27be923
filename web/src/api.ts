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

export async function serverVersion(): Promise<string> {
  const response = await fetch('version');
  return response.ok ? ((await response.json()).version ?? '') : '';
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
