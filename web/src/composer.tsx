// The box where one writes: Enter sends, Shift+Enter breaks the line, Escape stops, Arrow-Up in an empty box brings back
// the last question.
import { useEffect, useRef, useState } from 'preact/hooks';

import { Send, Stop } from './icons';

interface ComposerProps {
  busy: boolean;
  ready: boolean;
  lastQuestion: string;
  onSend: (text: string) => void;
  onStop: () => void;
}

export function Composer({ busy, ready, lastQuestion, onSend, onStop }: ComposerProps) {
  const [text, setText] = useState('');
  const box = useRef<HTMLTextAreaElement>(null);

  useEffect(() => {
    const area = box.current;
    if (!area) return;
    area.style.height = 'auto';
    area.style.height = `${Math.min(area.scrollHeight, 240)}px`;
  }, [text]);

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key === 'Escape' && busy) onStop();
      if (event.key === '/' && document.activeElement === document.body) {
        event.preventDefault();
        box.current?.focus();
      }
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, [busy, onStop]);

  const send = () => {
    if (busy || !ready || text.trim() === '') return;
    onSend(text);
    setText('');
  };

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      send();
    } else if (event.key === 'ArrowUp' && text === '' && lastQuestion) {
      event.preventDefault();
      setText(lastQuestion);
    }
  };

  return (
    <form class="composer" onSubmit={(event) => { event.preventDefault(); send(); }}>
      <textarea
        ref={box}
        rows={1}
        value={text}
        aria-label="Message"
        placeholder={ready ? 'Say something to the model' : 'Waiting for a model'}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={onKeyDown}
        autofocus
      />
      {busy
        ? <button type="button" class="primary" aria-label="Stop" title="Stop (Esc)" onClick={onStop}><Stop /></button>
        : <button type="submit" class="primary" aria-label="Send" title="Send (Enter)" disabled={!ready || text.trim() === ''}><Send /></button>}
    </form>
  );
}
