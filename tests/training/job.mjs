// A training or tuning job of the real program, small enough for seconds: its data, its config, its processes.
import assert from 'node:assert';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const hearth = process.env.HEARTH;
export const slow = process.env.HEARTH_SLOW === '1';
const seed = Number(process.env.HEARTH_SEED ?? Date.now() % 1e6);
console.log(`  training: HEARTH_SEED=${seed}`);

let state = seed;
// Uniform in [0, bound): a linear congruential generator is random enough to choose moments.
export function below(bound) {
  state = (state * 1103515245 + 12345) % 2147483648;
  return Math.floor((state / 2147483648) * bound);
}

export const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hearth-training-'));
export const dispose = () => fs.rmSync(folder, { recursive: true, force: true });

// Sentences with some order in them, the same every time.
function corpus() {
  const who = ['The fox', 'A crow', 'The old man', 'My sister', 'The river'];
  const does = ['sees', 'likes', 'finds', 'follows', 'forgets'];
  const what = ['the moon', 'a red boat', 'the garden', 'some bread', 'a song'];
  let text = '';
  for (let i = 0; i < 400; ++i) {
    const sentences = [];
    for (let j = 0; j < 1 + (i % 5); ++j) sentences.push(`${who[(i * 7 + j) % 5]} ${does[(i + j * 3) % 5]} ${what[(i * 3 + j) % 5]} number ${i * 31 + j}.`);
    text += `${JSON.stringify({ text: sentences.join(' ') })}\n`;
  }
  return text;
}

export function prepareData() {
  const run = (...args) => execFileSync(hearth, [...args, '--log-level', 'error'], { stdio: ['ignore', 'ignore', 'pipe'] });
  fs.writeFileSync(path.join(folder, 'stories.jsonl'), corpus());
  run('tokenizer', 'train', path.join(folder, 'stories.jsonl'), '--out', path.join(folder, 'tokenizer'), '--vocab-size', '300');
  fs.writeFileSync(path.join(folder, 'recipe.toml'), '[input]\nfiles = ["stories.jsonl"]\n[output]\ntokenizer = "tokenizer"\nfolder = "data"\n');
  run('data', path.join(folder, 'recipe.toml'));
}

function writeToml(name, fields) {
  const sections = new Map();
  for (const [key, value] of Object.entries(fields)) {
    const [section, field] = key.split('.');
    sections.set(section, `${sections.get(section) ?? `[${section}]\n`}${field} = ${JSON.stringify(value)}\n`);
  }
  const file = path.join(folder, `${name}.toml`);
  fs.writeFileSync(file, [...sections.values()].join('\n'));
  return file;
}

// The config of a job; `changes`: { 'run.seed': 2 }.
export function writeConfig(name, changes = {}) {
  const file = writeToml(name, {
    'model.hidden_size': 32, 'model.intermediate_size': 64, 'model.num_hidden_layers': 2, 'model.num_attention_heads': 4,
    'model.num_key_value_heads': 2, 'model.max_position_embeddings': 64, 'data.train': ['data/train.tok'],
    'data.validation': ['data/validation.tok'], 'data.tokenizer': 'tokenizer', 'schedule.steps': 40, 'schedule.warmup_steps': 4,
    'batch.tokens': 600, 'batch.micro_tokens': 200, 'parallel.bucket_mb': 0.02, 'run.out': name, 'run.threads': 1,
    'run.checkpoint_every': 3, 'run.validate_every': 0, ...changes,
  });
  return { command: 'train', file, out: path.join(folder, name) };
}

// A base to tune and what to tune it on: folder/base/model, chats.jsonl, pairs.jsonl.
export async function prepareBase() {
  await complete(writeConfig('base', { 'run.checkpoint_every': 0 }));
  const lines = corpus().split('\n').filter(Boolean).slice(0, 120).map((line, i) => [`Tell me about number ${i}.`, JSON.parse(line).text]);
  const ask = (content) => [{ role: 'user', content }];
  const reply = (content) => [{ role: 'assistant', content }];
  const write = (name, rows) => fs.writeFileSync(path.join(folder, name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  write('chats.jsonl', lines.map(([question, text]) => ({ messages: [...ask(question), ...reply(text)] })));
  write('pairs.jsonl', lines.map(([question, text]) => ({
    input: { messages: ask(question) }, preferred_output: reply(text), non_preferred_output: reply('No.'),
  })));
}

export function writeTuneConfig(name, changes = {}) {
  const file = writeToml(name, {
    'model.from': 'base/model', 'model.name': 'base', 'adapter.r': 4, 'adapter.lora_dropout': 0.1, 'data.train': ['chats.jsonl'],
    'schedule.steps': 40, 'batch.examples': 4, 'batch.micro_tokens': 100, 'optimizer.learning_rate': 0.01, 'run.out': name,
    'run.threads': 1, 'run.checkpoint_every': 3, 'run.validate_every': 0, ...changes,
  });
  return { command: 'tune', file, out: path.join(folder, name) };
}

// Starts the program (or `launcher` that starts it) and collects what it says.
export function start(config, flags = [], launcher = [], env = {}) {
  const [command, ...args] = [...launcher, hearth, config.command, config.file, ...flags];
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...env } });
  let said = '';
  child.stderr.on('data', (chunk) => { said += chunk; });
  const ended = new Promise((resolve) => child.once('close', (code, signal) => resolve({ code, signal, said })));
  return { pid: child.pid, child, ended, said: () => said };
}

export async function complete(...args) {
  const end = await start(...args).ended;
  if (end.code !== 0) throw new Error(`it ended with ${end.code ?? end.signal}:\n${end.said}`);
  return end;
}

export const log = (config) => {
  const file = path.join(config.out, 'log.jsonl');
  if (!fs.existsSync(file)) return [];
  const lines = fs.readFileSync(file, 'utf8').split('\n').filter(Boolean);
  return lines.flatMap((line) => { try { return [JSON.parse(line)]; } catch { return []; } });
};

// Names the file that the log is now; another one after it was replaced.
export const logFile = (config) => fs.statSync(path.join(config.out, 'log.jsonl'), { throwIfNoEntry: false })?.ino;

// The curve, every bit of it.
export const curve = (config) => log(config).filter((line) => 'loss' in line)
  .map(({ step, loss, grad_norm: norm, learning_rate: rate, tokens, epoch }) => ({ step, loss, norm, rate, tokens, epoch }));

export const checkpoints = (config) => {
  const at = path.join(config.out, 'checkpoints');
  return fs.existsSync(at) ? fs.readdirSync(at).filter((name) => /^step-\d+$/.test(name)).sort() : [];
};

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

// Waits until `happened()`; false: the job ended before.
export async function until(job, happened) {
  let over = false;
  job.ended.then(() => { over = true; });
  while (!over && !happened()) await pause(3);
  return !over;
}

// The process ids of the ranks that `pid` watches, by rank.
export function ranksOf(pid) {
  const children = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return children ? children.split(' ').map(Number) : [];
}

export const alive = (pid) => fs.existsSync(`/proc/${pid}`) && !/^\S+ \(.*\) Z/.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'));

export const lastStep = (config) => curve(config).at(-1)?.step ?? 0;

const kills = slow ? 20 : 5;
// Steps of a run that is to be killed so often.
export const stepsOfDeaths = 30 + 8 * kills;

// Runs to the end through deaths at random steps; `kill(job)` does it.
export async function runThroughDeaths(config, flags, kill) {
  const said = [];
  for (let death = 0; death < kills; ++death) {
    const begun = checkpoints(config).length ? Number(checkpoints(config).at(-1).slice(5)) : 0;
    const target = begun + 1 + below(8);
    const old = logFile(config);
    const job = start(config, flags);
    // A run begins with a log of its own, which keeps the lines up to its checkpoint.
    const reached = await until(job, () => logFile(config) !== old && lastStep(config) >= target);
    assert.ok(reached, `it ended before step ${target}:\n${job.said()}`);
    kill(job);
    const end = await job.ended;
    assert.notEqual(end.code, 0, 'it was killed, and ended well');
    said.push(end.said);
  }
  await complete(config, flags);
  return said;
}

// What they exit with when a signal asked them to stop (src/apps/exit_codes.h).
export const stopped = 3;
