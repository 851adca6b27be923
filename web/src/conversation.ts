// A conversation and what runs in it: sending, streaming, stopping.
import { useRef, useState } from 'preact/hooks';

import { ChatMessage, Delta, Token, Usage, streamChat } from './api';

export interface Turn extends ChatMessage {
  reasoning?: string;
  tokens?: Token[];
  finish?: string | null;
  usage?: Usage | null;
  firstTokenMs?: number;
  totalMs?: number;
  error?: string;
}

export interface Request {
  model: string;
  key: string;
  system: string;
  fields: Record<string, unknown>;
}

export function requestBody(turns: Turn[], request: Request) {
  const spoken = turns.filter((turn) => !turn.error || turn.content).map(({ role, content }) => ({ role, content }));
  const system = request.system.trim() ? [{ role: 'system' as const, content: request.system }] : [];
  return { model: request.model, messages: [...system, ...spoken], ...request.fields };
}

function extend(turn: Turn, delta: Delta, started: number): Turn {
  const now = performance.now() - started;
  const said = delta.text !== '' || delta.reasoning !== '';
  return {
    ...turn,
    content: turn.content + delta.text,
    reasoning: (turn.reasoning ?? '') + delta.reasoning,
    tokens: delta.tokens.length > 0 ? [...(turn.tokens ?? []), ...delta.tokens] : turn.tokens,
    finish: delta.finish ?? turn.finish,
    usage: delta.usage ?? turn.usage,
    firstTokenMs: turn.firstTokenMs ?? (said ? now : undefined),
    totalMs: now,
  };
}

export function useConversation() {
  const [turns, setTurns] = useState<Turn[]>([]);
  const [busy, setBusy] = useState(false);
  const abort = useRef<AbortController | null>(null);

  async function answer(history: Turn[], request: Request) {
    const controller = new AbortController();
    abort.current = controller;
    setBusy(true);
    const started = performance.now();
    let turn: Turn = { role: 'assistant', content: '' };
    setTurns([...history, turn]);
    const body = {
      ...requestBody(history, request),
      stream: true,
      stream_options: { include_usage: true },
      logprobs: true,
      top_logprobs: 5,
    };
    try {
      for await (const delta of streamChat(body, request.key, controller.signal)) {
        turn = extend(turn, delta, started);
        setTurns([...history, turn]);
      }
    } catch (error) {
      turn = controller.signal.aborted ? { ...turn, finish: 'stopped' } : { ...turn, error: (error as Error).message };
      setTurns([...history, turn]);
    } finally {
      setBusy(false);
    }
  }

  return {
    turns,
    busy,
    send: (text: string, request: Request) => answer([...turns, { role: 'user', content: text }], request),
    retry: (request: Request) => answer(turns.slice(0, turns.map((turn) => turn.role).lastIndexOf('user') + 1), request),
    stop: () => abort.current?.abort(),
    clear: () => {
      abort.current?.abort();
      setTurns([]);
    },
  };
}
