// The question: how do Hearth and llama.cpp compare on one GGUF file on this machine, now? Each measurement alternates
// between the two and is repeated; the table shows medians, every sample goes to a JSON line.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { HttpPeer } from './http_peer.mjs';
import { LlamaChild } from './llama.mjs';
import { measureLimits } from './limits.mjs';
import { randomModel, shapes, types, work } from './random_model.mjs';

const help = `./dev bench peers [--shape ${Object.keys(shapes).join('|')}] [--type ${types.join('|')}] [--only NAME,...]
                  [--repeats 5] [--seconds 60] [--settle 15] [--threads 2] [--json FILE] [--models DIR]
                  [--llama-server PROGRAM]

Hearth (over HTTP) and llama.cpp (in process, through node-llama-cpp; with --llama-server its own server, over HTTP too)
on the same file of random weights. A measurement ends after --repeats rounds, or with the round in which it has taken
--seconds; its row says how many rounds that were. All rows but the start are of servers that were started --settle
seconds before: Hearth moves its weights to huge pages meanwhile.

  prompt512, prompt4096   tokens/s of a prompt, and the share of the machine's peak that its products are
  generate                tokens/s of one stream, and the share of the read bandwidth that its weights are
  neighbour               what is left of that while another process keeps one core busy
  serve16                 tokens/s of 16 streams, 512 in and 128 out each
  mixed                   8 streams generate while prompts of 4096 tokens arrive: p99 between tokens, also over the
                          median without such prompts, and p99 over that median where none arrive
  mixedPrompt             what such prompts pay: time to the first token of one of 2048 while 8 streams generate
  start                   from process start to the first token, weights in the page cache
  memory                  resident after all of one stream`;

const { values: flags } = parseArgs({
  options: {
    shape: { type: 'string', default: '0.1b' }, type: { type: 'string', default: 'q8_0' }, only: { type: 'string' },
    repeats: { type: 'string', default: '5' }, seconds: { type: 'string', default: '60' },
    settle: { type: 'string', default: '15' }, threads: { type: 'string', default: String(os.availableParallelism()) }, json: { type: 'string' },
    models: { type: 'string', default: path.join(os.tmpdir(), 'hearth-bench-models') }, 'llama-server': { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (flags.help) {
  console.log(help);
  process.exit(0);
}

const repeats = Number(flags.repeats);
const threads = Number(flags.threads);
const began = performance.now();
const progress = (text) => console.error(`${((performance.now() - began) / 1000).toFixed(0).padStart(4)} s  ${text}`);

progress(`making or finding ${flags.shape} ${flags.type}`);
const model = randomModel(flags.models, process.env.HEARTH, flags.shape, flags.type);
const rival = flags['llama-server'] ? 'llama-server' : 'llama.cpp';
const starters = {
  hearth: (room) => HttpPeer.start({ dialect: 'hearth', program: process.env.HEARTH, model: model.file, threads, dataDir: path.join(flags.models, 'data'), ...room }),
  [rival]: (room) => (rival === 'llama.cpp' ? LlamaChild.start({ model: model.file, threads, ...room })
    : HttpPeer.start({ dialect: 'llama-server', program: flags['llama-server'], model: model.file, threads, ...room })),
};

// Prompts differ, so that no cache of earlier work can help anybody.
let promptCount = 0;
const prompt = (length) => {
  const salt = ++promptCount;
  return Array.from({ length }, (_, i) => 300 + ((i * 7919 + salt * 104729) % (model.vocab - 400)));
};
const prompts = (count, length) => Array.from({ length: count }, () => prompt(length));

const quantile = (list, q) => [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(q * list.length))];
const median = (list) => {
  const sorted = [...list].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};
// Times between tokens while all of these streams, which were asked for at once, generate: not while their own prompts are computed.
function gapsOf(runs) {
  const begin = Math.max(...runs.map(({ times }) => times[0]));
  return runs.flatMap(({ times }) => times.slice(1).map((time, i) => time - times[i]).filter((_, i) => times[i] >= begin));
}
const tokensOf = (runs) => runs.reduce((sum, run) => sum + run.tokens, 0);

async function promptRate(peer, length) {
  return length / ((await peer.complete({ prompt: prompt(length), count: 1 })).times[0] / 1000);
}

async function generateRate(peer) {
  const { times, tokens } = await peer.complete({ prompt: prompt(32), count: 96 });
  return (tokens - 1) / ((times.at(-1) - times[0]) / 1000);
}

// A process that never rests, held on the last core; ours run where the system puts them.
async function besideNeighbour(work) {
  const loop = spawn('taskset', ['-c', String(os.cpus().length - 1), process.execPath, '-e', 'for (;;);'], { stdio: 'ignore' });
  try {
    return await work();
  } finally {
    loop.kill('SIGKILL');
  }
}

// What a rate is of what the machine can do, in percent: nothing where that is not known. Limits are measured before and after
// every sample, and a share is of their mean, since what others take of a shared machine changes within seconds.
const { projections, bytes } = work(flags.shape, flags.type);
const limits = { peak: [], read: [] };
const ofLimits = {
  prompt512: { row: 'prompt512Share', limit: 'peak', each: 2 * projections },
  prompt4096: { row: 'prompt4096Share', limit: 'peak', each: 2 * projections },
  generate: { row: 'generateShare', limit: 'read', each: bytes },
};
function limitNow(name) {
  const now = measureLimits(process.env.HEARTH, threads);
  const peak = flags.type === 'bf16' ? now.bf16 : now.int8;
  if (peak) limits.peak.push(peak);
  if (now.read) limits.read.push(now.read);
  return name === 'read' ? now.read : peak;
}
async function besideLimits(name, take) {
  const { row, limit, each } = ofLimits[name];
  const before = limitNow(limit);
  const sample = await take();
  const after = limitNow(limit);
  if (!before || !after) return sample;
  return { ...sample, [row]: (100 * each * sample[name]) / 1e9 / ((before + after) / 2) };
}

const nine = { sequenceTokens: 4352, sequences: 9 };
const one = { sequenceTokens: 4352, sequences: 1 };
// name, room of the peers, and how a sample is taken: an object of rows. Rows are [label, whether more is better].
const measurements = [
  ['prompt512', one, async (peer) => ({ prompt512: await promptRate(peer, 512) })],
  ['prompt4096', one, async (peer) => ({ prompt4096: await promptRate(peer, 4096) })],
  ['generate', one, async (peer) => ({ generate: await generateRate(peer) })],
  ['neighbour', one, async (peer) => {
    const quiet = await generateRate(peer);
    return { neighbour: (100 * await besideNeighbour(() => generateRate(peer))) / quiet };
  }],
  ['memory', one, async (peer) => ({ memory: (await peer.rss()).bytes / 2 ** 20 })],
  ['serve16', { sequenceTokens: 704, sequences: 16 }, async (peer) => {
    const { ms, runs } = await peer.serve({ prompts: prompts(16, 512), count: 128 });
    return { serve16: tokensOf(runs) / (ms / 1000) };
  }],
  ['mixed', nine, async (peer) => {
    const alone = gapsOf((await peer.serve({ prompts: prompts(8, 64), count: 64 })).runs);
    const { runs } = await peer.mixed({ prompts: prompts(8, 64), count: 64, longPrompts: prompts(64, 4096) });
    const p99 = quantile(gapsOf(runs), 0.99);
    return { mixed: p99, mixedRatio: p99 / median(alone), aloneRatio: quantile(alone, 0.99) / median(alone) };
  }],
  ['mixedPrompt', nine, async (peer) => {
    const { longs } = await peer.mixed({ prompts: prompts(8, 64), count: 256, longPrompts: prompts(1, 2048) });
    return { mixedPrompt: longs[0].times[0] };
  }],
];
const rows = {
  prompt512: ['prompt tokens/s, 512', 'higher'],
  prompt512Share: ['% of the peak of products', 'higher'],
  prompt4096: ['prompt tokens/s, 4096', 'higher'],
  prompt4096Share: ['% of the peak of products', 'higher'],
  generate: ['generated tokens/s, 1 stream', 'higher'],
  generateShare: ['% of the read bandwidth', 'higher'],
  neighbour: ['% of that left beside a busy process', 'higher'],
  serve16: ['served tokens/s, 16 streams (512 in, 128 out)', 'higher'],
  mixed: ['p99 ms between tokens, 8 streams while prompts of 4096 arrive', 'lower'],
  mixedRatio: ['that over the median without such prompts', 'lower'],
  aloneRatio: ['p99 over the median without such prompts', 'lower'],
  mixedPrompt: ['ms to the first token of a prompt of 2048 while 8 streams generate', 'lower'],
  start: ['process start to first token, ms', 'lower'],
  memory: ['resident memory, MiB', 'lower'],
};

const wanted = (name) => !flags.only || flags.only.split(',').includes(name);
const samples = {};
const record = (peer, sample) => {
  for (const [row, value] of Object.entries(sample)) ((samples[row] ??= {})[peer] ??= []).push(value);
};

// Rounds over both peers until there are enough, or the time is up.
async function rounds(name, take) {
  const end = performance.now() + 1000 * Number(flags.seconds);
  let done = 0;
  while (done === 0 || (done < repeats && performance.now() < end)) {
    for (const peer of Object.keys(starters)) {
      record(peer, await (ofLimits[name] ? besideLimits(name, () => take(peer)) : take(peer)));
    }
    progress(`${name}: round ${++done} of ${repeats}`);
  }
}

async function withPeers(room, work) {
  const peers = {};
  for (const [name, start] of Object.entries(starters)) peers[name] = await start(room);
  await work(peers);
  for (const peer of Object.values(peers)) await peer.exit();
}

for (const room of new Set(measurements.map((measurement) => measurement[1]))) {
  const here = measurements.filter(([name, its]) => its === room && wanted(name));
  if (here.length === 0) continue;
  await withPeers(room, async (peers) => {
    for (const peer of Object.values(peers)) await generateRate(peer); // weights into memory, threads awake
    await new Promise((resolve) => setTimeout(resolve, 1000 * Number(flags.settle)));
    for (const [name, , take] of here) await rounds(name, (peer) => take(peers[peer]));
  });
}
if (wanted('start')) {
  await rounds('start', async (name) => {
    const begin = performance.now();
    const peer = await starters[name](one);
    await peer.complete({ prompt: prompt(16), count: 1 });
    const start = performance.now() - begin;
    await peer.exit();
    return { start };
  });
}

const machine = `${os.cpus()[0].model.trim()}, ${threads} threads`;
console.log(`\n${flags.shape} ${flags.type} (${(model.parameters / 1e6).toFixed(0)} M parameters), ${machine}, medians, alternating\n`);
console.log(`| measurement | Hearth | ${rival} | Hearth is | rounds |\n|---|---:|---:|---:|---:|`);
for (const [row, [label, better]] of Object.entries(rows)) {
  if (!samples[row]) continue;
  const [ours, theirs] = [median(samples[row].hearth), median(samples[row][rival])];
  const ratio = better === 'higher' ? ours / theirs : theirs / ours;
  const text = (value) => value.toFixed(value < 100 ? 1 : 0);
  console.log(`| ${label} | ${text(ours)} | ${text(theirs)} | ${ratio.toFixed(2)} x | ${samples[row].hearth.length} |`);
}
if (limits.read.length > 0) {
  console.log(`\nmachine: ${median(limits.read).toFixed(1)} GB/s read, ${median(limits.peak).toFixed(0)} GOP/s of products, medians of ${limits.read.length}`);
}
const line = JSON.stringify({ bench: 'peers', shape: flags.shape, type: flags.type, machine, rival, limits, seconds: (performance.now() - began) / 1000, samples });
if (flags.json) fs.appendFileSync(flags.json, `${line}\n`);
else console.log(`\n${line}`);
process.exit(0);
