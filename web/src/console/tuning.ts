// Tuning jobs and their events, as the API tells them.

export interface Job {
  id: string;
  model: string;
  created_at: number;
  finished_at: number | null;
  estimated_finish: number | null;
  fine_tuned_model: string | null;
  result_files: string[];
  status: string;
  training_file: string;
  validation_file: string | null;
  hyperparameters: Record<string, string | number>;
  trained_tokens: number | null;
  error: { message?: string } | null;
  user_provided_suffix: string | null;
  seed: number;
  method: { type: string };
  progress: { step: number; total_steps: number; examples: number };
  project_id: string;
}

export interface TuningEvent {
  id: string;
  created_at: number;
  level: string;
  type: string;
  message: string;
  data: { step?: number; train_loss?: number; valid_loss?: number };
}

export const isOver = (job: Job) => ['succeeded', 'failed', 'cancelled'].includes(job.status);

export const titleOf = (job: Job) => job.fine_tuned_model ?? job.user_provided_suffix ?? job.id;

export interface Losses {
  steps: number[];
  train: (number | null)[];
  valid: (number | null)[];
}

// Both losses by step, from events in any order.
export function lossesOf(events: TuningEvent[]): Losses {
  const train = new Map<number, number>();
  const valid = new Map<number, number>();
  for (const { type, data } of events) {
    if (type !== 'metrics' || data.step === undefined) continue;
    if (data.train_loss !== undefined) train.set(data.step, data.train_loss);
    if (data.valid_loss !== undefined) valid.set(data.step, data.valid_loss);
  }
  const steps = [...new Set([...train.keys(), ...valid.keys()])].sort((a, b) => a - b);
  return { steps, train: steps.map((step) => train.get(step) ?? null), valid: steps.map((step) => valid.get(step) ?? null) };
}
