// What a tenant may use; 0 is no limit.

export interface Limits {
  max_requests_per_1_minute: number;
  max_tokens_per_1_minute: number;
  max_tokens_per_1_day: number;
  max_requests_at_once: number;
}

export const noLimits: Limits = { max_requests_per_1_minute: 0, max_tokens_per_1_minute: 0, max_tokens_per_1_day: 0, max_requests_at_once: 0 };

const names: [keyof Limits, string][] = [
  ['max_requests_per_1_minute', 'Requests a minute'],
  ['max_tokens_per_1_minute', 'Tokens a minute'],
  ['max_tokens_per_1_day', 'Tokens a day'],
  ['max_requests_at_once', 'Requests at once'],
];

export function LimitFields({ limits, onChange }: { limits: Limits; onChange: (limits: Limits) => void }) {
  return (
    <>
      {names.map(([name, label]) => (
        <label class="field">{label}
          <input
            type="number" min={0} step={1} placeholder="no limit" value={limits[name] || ''}
            onInput={(event) => onChange({ ...limits, [name]: Number(event.currentTarget.value) })}
          />
        </label>
      ))}
    </>
  );
}
