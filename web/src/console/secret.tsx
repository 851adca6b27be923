// A key just made: the only time that it is seen.
import { Close, Copy } from '../icons';

export function Secret({ value, onUse, onClose }: { value: string; onUse?: () => void; onClose: () => void }) {
  return (
    <div class="secret" role="status">
      <p><b>Copy it now.</b> Only a hash of it is kept: nobody can show it again.</p>
      <div class="command">
        <code>{value}</code>
        <button class="quiet icon" title="Copy" aria-label="Copy the key" onClick={() => navigator.clipboard?.writeText(value)}><Copy /></button>
        <button class="quiet icon" title="Done" aria-label="Hide the key" onClick={onClose}><Close /></button>
      </div>
      {onUse && <button class="button main" onClick={onUse}>Sign in with it</button>}
    </div>
  );
}
