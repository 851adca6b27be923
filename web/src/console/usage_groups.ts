// The books in pages of days, summed up by who or what.

export type Group = 'project_id' | 'model' | 'adapter' | 'api_key_id' | 'batch';

export interface Result {
  input_tokens: number;
  input_cached_tokens: number;
  output_tokens: number;
  ptu_minutes: number;
  num_model_requests: number;
  project_id: string | null;
  model: string | null;
  adapter: string | null;
  api_key_id: string | null;
  batch: boolean | null;
}

export interface Page {
  data: { start_time: number; end_time: number; results: Result[] }[];
}

export interface Sum {
  name: string;
  requests: number;
  prompt: number;
  cached: number;
  generated: number;
  work: number;  // in PTU-minutes
}

export function nameOf(result: Result, group: Group): string {
  if (group === 'batch') return result.batch ? 'batch' : 'online';
  return result[group] || (group === 'adapter' ? 'the base alone' : 'nobody');
}

export const tokensOf = (result: Result) => result.input_tokens + result.output_tokens;

// The largest first.
export function groupsOf(page: Page, group: Group): Sum[] {
  const sums = new Map<string, Sum>();
  for (const result of page.data.flatMap((bucket) => bucket.results)) {
    const name = nameOf(result, group);
    const old = sums.get(name) ?? { name, requests: 0, prompt: 0, cached: 0, generated: 0, work: 0 };
    sums.set(name, {
      name,
      requests: old.requests + result.num_model_requests,
      prompt: old.prompt + result.input_tokens,
      cached: old.cached + result.input_cached_tokens,
      generated: old.generated + result.output_tokens,
      work: old.work + result.ptu_minutes,
    });
  }
  return [...sums.values()].sort((a, b) => b.prompt + b.generated - a.prompt - a.generated);
}
