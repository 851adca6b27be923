// The question: how do Hearth and llama.cpp compare on the same weights on this machine, now? Each measurement alternates
// between the two and is repeated; the table shows medians, every sample goes to a JSON line.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { HearthChild } from './hearth_child.mjs';
import { LlamaChild } from './llama.mjs';
import { randomModel, shapes } from './random_model.mjs';

const help = `./dev bench peers [--shape ${Object.keys(shapes).join('|')}] [--repeats 5] [--threads 2] [--only NAME,...] [--json FILE]

Hearth (over HTTP) and llama.cpp (in process, through node-llama-cpp) with the same random bf16 weights.
Measurements: prompt512, prompt2048, generate, serve1, serve4, serve16, mixed, start, memory.`;

const { values: flags } = parseArgs({
  options: {
    shape: { type: 'string', default: '0.1b' }, repeats: { type: 'string', default: '5' },
    threads: { type: 'string', default: String(os.availableParallelism()) }, only: { type: 'string' },
    json: { type: 'string' }, models: { type: 'string', default: path.join(os.tmpdir(), 'hearth-bench-models') },
    help: { type: 'boolean', default: false },
  },
});
if (flags.help) {
  console.log(help);
  process.exit(0);
}

const repeats = Number(flags.repeats);
const threads = Number(flags.threads);
const model = randomModel(flags.models, flags.shape);
const program = process.env.HEARTH;
const sequences = 17;
const contextTokens = 2560 * sequences;

// Prompts differ, so that no cache of earlier work can help anybody.
let promptCount = 0;
const prompt = (length) => {
  const salt = ++promptCount;
  return Array.from({ length }, (_, i) => 300 + ((i * 7919 + salt * 104729) % (model.vocab - 400)));
};
const prompts = (count, length) => Array.from({ length: count }, () => prompt(length));

const median = (list) => {
  const sorted = [...list].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};
const quantile = (list, q) => [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(q * list.length))];
const gaps = (times) => times.slice(1).map((time, i) => time - times[i]);
const tokensOf = (runs) => runs.reduce((sum, run) => sum + run.tokens, 0);

// name, what the number means, whether more is better, and how one sample is taken.
const measurements = [
  ['prompt512', 'prompt tokens/s, 512', 'higher', async (peer) => 512 / ((await peer.complete({ prompt: prompt(512), count: 1 })).times[0] / 1000)],
  ['prompt2048', 'prompt tokens/s, 2048', 'higher', async (peer) => 2048 / ((await peer.complete({ prompt: prompt(2048), count: 1 })).times[0] / 1000)],
  ['generate', 'generated tokens/s, 1 stream', 'higher', async (peer) => {
    const { times, tokens } = await peer.complete({ prompt: prompt(32), count: 96 });
    return (tokens - 1) / ((times.at(-1) - times[0]) / 1000);
  }],
  ...[1, 4, 16].map((streams) => [`serve${streams}`, `served tokens/s, ${streams} streams (512 in, 64 out)`, 'higher', async (peer) => {
    const { ms, runs } = await peer.serve({ prompts: prompts(streams * 2, 512), count: 64, streams });
    return tokensOf(runs) / (ms / 1000);
  }]),
  ['mixed', 'p99 ms between tokens, 4 streams with 2048-token prompts arriving', 'lower', async (peer) => {
    const { runs } = await peer.mixed({ prompts: prompts(4, 64), count: 128, longPrompts: prompts(64, 2048) });
    return quantile(runs.flatMap((run) => gaps(run.times)), 0.99);
  }],
];

const starters = {
  hearth: () => HearthChild.start({ program, model: model.dir, threads, contextTokens, sequences }),
  'llama.cpp': () => LlamaChild.start({ model: model.gguf, threads, sequenceTokens: contextTokens / sequences, sequences }),
};
const wanted = (name) => !flags.only || flags.only.split(',').includes(name);

const samples = {};
const record = (name, peer, value) => ((samples[name] ??= {})[peer] ??= []).push(value);

async function alternate() {
  const peers = {};
  for (const [name, start] of Object.entries(starters)) peers[name] = await start();
  for (const [name, , , take] of measurements) {
    if (!wanted(name)) continue;
    for (let i = 0; i < repeats; ++i) {
      for (const [peerName, peer] of Object.entries(peers)) record(name, peerName, await take(peer));
    }
    console.error(`measured ${name}`);
  }
  if (wanted('memory')) {
    for (const [peerName, peer] of Object.entries(peers)) record('memory', peerName, (await peer.rss()).bytes / 2 ** 20);
  }
  for (const peer of Object.values(peers)) peer.exit();
}

// From the start of the process to the first token, weights in the page cache.
async function measureStart() {
  for (let i = 0; i < repeats; ++i) {
    for (const [peerName, start] of Object.entries(starters)) {
      const begin = performance.now();
      const peer = await start();
      await peer.complete({ prompt: prompt(16), count: 1 });
      record('start', peerName, performance.now() - begin);
      peer.exit();
    }
  }
}

await alternate();
if (wanted('start')) await measureStart();

const rows = [...measurements, ['start', 'process start to first token, ms', 'lower'], ['memory', 'resident memory, MiB', 'lower']]
  .filter(([name]) => samples[name]);
const machine = `${os.cpus()[0].model.trim()}, ${threads} threads`;
console.log(`\n${flags.shape} bf16 (${(model.parameters / 1e6).toFixed(0)} M parameters), ${machine}, medians of ${repeats}, alternating\n`);
console.log('| measurement | Hearth | llama.cpp | Hearth is |\n|---|---:|---:|---:|');
for (const [name, label, better] of rows) {
  const [ours, theirs] = [median(samples[name].hearth), median(samples[name]['llama.cpp'])];
  const ratio = better === 'higher' ? ours / theirs : theirs / ours;
  console.log(`| ${label} | ${ours.toFixed(1)} | ${theirs.toFixed(1)} | ${ratio.toFixed(2)} x |`);
}
const line = JSON.stringify({ bench: 'peers', shape: flags.shape, machine, repeats, samples });
if (flags.json) fs.appendFileSync(flags.json, `${line}\n`);
else console.log(`\n${line}`);
process.exit(0);
