// The door of the console.
import { useState } from 'preact/hooks';

import { Flame } from '../icons';
import { Problem } from '../parts';

interface SignInProps {
  problem: string;
  what: string; // is typed here
  hint: string;
  onKey: (key: string) => void;
}

export function SignInForm({ problem, what, hint, onKey }: SignInProps) {
  const [text, setText] = useState('');
  return (
    <main class="door">
      <form onSubmit={(event) => { event.preventDefault(); onKey(text.trim()); }}>
        <Flame size={56} />
        <h1>Sign in</h1>
        <label class="field">{what}
          <input type="password" autocomplete="off" autofocus value={text} onInput={(event) => setText(event.currentTarget.value)} />
        </label>
        <Problem text={problem} />
        <button class="button main" disabled={text.trim() === ''}>Sign in</button>
        <p>{hint}</p>
      </form>
    </main>
  );
}
