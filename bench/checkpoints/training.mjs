// What checkpoints cost a training run: how long its steps stand still for the copy, and how much slower those are that run while a
// checkpoint is cut, packed and written. One JSON line; the bar is below 1 % at one checkpoint in ten minutes.
import os from 'node:os';

const { complete, dispose, log, prepareData, writeConfig } = await import('../../tests/training/job.mjs');

const every = 12, steps = 60, tokens = 1024;
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const sum = (list) => list.reduce((total, value) => total + value, 0);
const rounded = (value) => Math.round(value * 1000) / 1000;

try {
  prepareData();
  const config = writeConfig('cost', {
    'model.hidden_size': 512, 'model.intermediate_size': 1408, 'model.num_hidden_layers': 7, 'model.num_attention_heads': 8, 'model.num_key_value_heads': 8,
    'schedule.steps': steps, 'batch.tokens': tokens, 'batch.micro_tokens': 512, 'run.threads': 0, 'run.checkpoint_every': every,
  });
  await complete(config);
  const lines = log(config);
  const seconds = new Map(lines.filter((line) => 'loss' in line).map((line) => [line.step, tokens / line.tokens_per_second]));
  // Not the last, which no step runs beside.
  const written = lines.filter((line) => 'checkpoint_bytes' in line && line.step < steps);
  const saved = written.map((line) => ({ ...line, beside: besides(line) }));
  const busy = new Set(saved.flatMap(({ beside }) => beside));
  const quiet = [...seconds].filter(([step]) => step > 3 && !busy.has(step)).map(([, time]) => time);
  // Means on both sides: now and then a step takes long anyway.
  const step = sum(quiet) / quiet.length;
  const costs = saved.map(({ stall_seconds: stall, beside }) => stall + sum(beside.map((number) => seconds.get(number) - step)));
  const cost = Math.max(0, sum(costs) / costs.length);
  const last = saved.at(-1);
  console.log(JSON.stringify({
    bench: 'checkpoints', load: rounded(os.loadavg()[0]), what: 'training', checkpoints: saved.length, checkpoint_mib: rounded(last.checkpoint_bytes / 2 ** 20),
    stored_mib: rounded(last.checkpoint_stored / 2 ** 20), stall_s: rounded(median(saved.map((line) => line.stall_seconds))),
    write_s: rounded(median(saved.map((line) => line.write_seconds))), step_s: rounded(step),
    step_beside_s: rounded(sum([...busy].map((number) => seconds.get(number))) / busy.size), step_spread_s: rounded(spread(quiet)), cost_s: rounded(cost),
    percent_at_600_s: rounded((100 * cost) / 600), percent_at_200_steps: rounded((100 * cost) / (200 * step)),
  }));

  // The steps that ran, at least in part, while this checkpoint was written.
  function besides({ step: saved_at, write_seconds: write }) {
    const beside = [];
    for (let left = write, number = saved_at + 1; left > 0 && seconds.has(number); ++number) {
      beside.push(number);
      left -= seconds.get(number);
    }
    return beside;
  }
} finally {
  dispose();
}

// Half of the steps differ by less from the middle one.
function spread(list) {
  const middle = median(list);
  return median(list.map((value) => Math.abs(value - middle)));
}
