// An answer token by token: the colour is the probability, the pointer or the keyboard shows the alternatives.
import { useState } from 'preact/hooks';

import { Token } from './api';

const percent = (logprob: number) => {
  const share = Math.exp(logprob) * 100;
  return share >= 9.95 ? share.toFixed(0) : share >= 0.1 ? share.toFixed(1) : '<0.1';
};

const visible = (token: string) => token.replace(/\n/g, '⏎').replace(/\t/g, '⇥').replace(/ /g, '·') || '∅';

// 0 is certain, 4 is a long shot.
function surprise(logprob: number): number {
  const bounds = [-0.1, -0.7, -1.6, -3];
  const index = bounds.findIndex((bound) => logprob > bound);
  return index < 0 ? bounds.length : index;
}

function Alternatives({ token }: { token: Token }) {
  const rows = token.top_logprobs.length > 0 ? token.top_logprobs : [token];
  return (
    <span class="alternatives" role="tooltip">
      {rows.map((row) => (
        <span class={row.token === token.token ? 'row chosen' : 'row'}>
          <code>{visible(row.token)}</code>
          <span class="meter"><span style={{ width: `${Math.exp(row.logprob) * 100}%` }} /></span>
          <span class="share">{percent(row.logprob)} %</span>
        </span>
      ))}
    </span>
  );
}

export function Tokens({ tokens }: { tokens: Token[] }) {
  const [open, setOpen] = useState(-1);
  return (
    <p class="tokens" onPointerLeave={() => setOpen(-1)}>
      {tokens.map((token, index) => (
        <span
          key={index}
          tabIndex={0}
          class={`token surprise-${surprise(token.logprob)}`}
          onPointerEnter={() => setOpen(index)}
          onFocus={() => setOpen(index)}
          onBlur={() => setOpen(-1)}
        >
          {token.token}
          {open === index && <Alternatives token={token} />}
        </span>
      ))}
    </p>
  );
}
