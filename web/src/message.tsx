// One turn of a conversation.
import { useState } from 'preact/hooks';

import { Turn } from './conversation';
import { Copy, Flame, Retry } from './icons';
import { Markdown } from './markdown';
import { Tokens } from './tokens';

const finishWords: Record<string, string> = {
  stop: 'complete',
  length: 'cut at the answer length',
  stopped: 'stopped',
  tool_calls: 'wants a tool',
};

function facts(turn: Turn): string[] {
  const list: string[] = [];
  const { usage, firstTokenMs, totalMs } = turn;
  if (usage) {
    list.push(`${usage.completion_tokens} tokens`);
    const cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
    list.push(`prompt ${usage.prompt_tokens}${cached > 0 ? ` (${cached} cached)` : ''}`);
    if (firstTokenMs !== undefined && totalMs !== undefined && usage.completion_tokens > 1 && totalMs > firstTokenMs) {
      list.push(`${((1000 * (usage.completion_tokens - 1)) / (totalMs - firstTokenMs)).toFixed(0)} tokens/s`);
    }
  }
  if (firstTokenMs !== undefined) list.push(`first token ${firstTokenMs.toFixed(0)} ms`);
  if (turn.finish) list.push(finishWords[turn.finish] ?? turn.finish);
  return list;
}

function Answer({ turn, last, busy, onRetry }: MessageProps) {
  const [probabilities, setProbabilities] = useState(false);
  const tokens = turn.tokens ?? [];
  return (
    <article class="turn assistant" aria-busy={last && busy}>
      <div class="avatar"><Flame size={22} /></div>
      <div class="body">
        {turn.reasoning && <details class="reasoning" open={!turn.content}><summary>Reasoning</summary><p>{turn.reasoning}</p></details>}
        {probabilities ? <Tokens tokens={tokens} /> : <div class="prose"><Markdown source={turn.content} /></div>}
        {last && busy && <span class="caret" aria-label="answering" />}
        {turn.error && <p class="error" role="alert">{turn.error}</p>}
        {!(last && busy) && (
          <footer>
            <span class="facts">{facts(turn).join(' · ')}</span>
            {tokens.length > 0 && (
              <button class="quiet" aria-pressed={probabilities} onClick={() => setProbabilities(!probabilities)}>probabilities</button>
            )}
            <button class="quiet icon" title="Copy" aria-label="Copy answer" onClick={() => navigator.clipboard?.writeText(turn.content)}><Copy /></button>
            {last && <button class="quiet icon" title="Try again" aria-label="Try again" onClick={onRetry}><Retry /></button>}
          </footer>
        )}
      </div>
    </article>
  );
}

interface MessageProps {
  turn: Turn;
  last: boolean;
  busy: boolean;
  onRetry: () => void;
}

export function Message(props: MessageProps) {
  if (props.turn.role === 'assistant') return <Answer {...props} />;
  return <article class="turn user"><div class="body"><p>{props.turn.content}</p></div></article>;
}
