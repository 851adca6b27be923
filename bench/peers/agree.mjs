// The question: do Hearth and llama.cpp choose the same greedy tokens on the same weights?
//
// Each model is exported with `hearth export --gguf --type f32` and read by llama.cpp; both continue the same prompts
// greedily in f32, and the token ids are compared one by one, those of the prompts too. A difference fails the run, unless
// llama.cpp's own two likeliest tokens were closer there than sums in another order can tell apart.
//
//   ./dev bench peers agree [MODEL...]     without MODEL: ember and the checkpoints of $HEARTH_SHARED/data
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');
const hearth = process.env.HEARTH ?? path.join(root, 'build/hearth');
const tokensEach = Number(process.env.TOKENS ?? 96);
const tie = 1e-3; // of the share of the likeliest token: below what two orders of summation agree on

const prompts = [
  'Once upon a time', 'The little dog ran to', 'Hello! My name is', 'One day, Lily and Tom went to the park. They saw',
  'The capital of France is', 'In the year 1492,', 'def add(a, b):\n    return', '  two spaces, a tab\tand ünïcödé: 東京 🙂',
];

function skip(why) {
  console.log(`skip  agree: ${why}`);
  process.exit(0);
}

let lib;
try {
  lib = await import('node-llama-cpp');
} catch {
  skip('node-llama-cpp is not installed (npm install in bench/peers)');
}

function defaultModels() {
  const shared = process.env.HEARTH_SHARED;
  if (!shared) {
    console.log('skip  checkpoints of $HEARTH_SHARED/data: HEARTH_SHARED is not set');
    return ['ember'];
  }
  const data = path.join(shared, 'data');
  const names = ['stories15M-hf', 'stories260K-hf', 'minimind2-small-hf',
    ...fs.readdirSync(path.join(data, 'tiny')).map((name) => `tiny/${name}`)];
  return ['ember', ...names.map((name) => path.join(data, name)).filter((dir) => fs.existsSync(path.join(dir, 'config.json')))];
}

const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'hearth-agree-'));
process.once('exit', () => fs.rmSync(scratch, { recursive: true, force: true }));
const run = (args) => execFileSync(hearth, args, { stdio: ['ignore', 'ignore', 'inherit'] });

// Prompt and answer of each, as ids. Files with a sliding window are read back with it by Hearth, but not by llama.cpp, so
// answers end before it matters.
function hearthAnswers(model, count) {
  const asked = path.join(scratch, 'prompts.jsonl');
  const answered = path.join(scratch, 'answers.jsonl');
  fs.writeFileSync(asked, prompts.map((prompt) => `${JSON.stringify({ prompt })}\n`).join(''));
  run(['generate', model, '--prompts', asked, '--out', answered, '--max-tokens', String(count), '--temperature', '0',
    '--compute', 'f32', '--kv-cache-dtype', 'f32', '--log-level', 'error']);
  const byPrompt = new Map(fs.readFileSync(answered, 'utf8').trim().split('\n').map((line) => {
    const answer = JSON.parse(line);
    return [answer.prompt, answer];
  }));
  return prompts.map((prompt) => byPrompt.get(prompt));
}

function windowOf(model) {
  const file = path.join(model, 'config.json');
  if (!fs.existsSync(file)) return Infinity;
  const { sliding_window: window, model_type: type } = JSON.parse(fs.readFileSync(file, 'utf8'));
  return window && type === 'mistral' ? window : Infinity;
}

const llama = await lib.getLlama({ gpu: false, build: 'never', logLevel: lib.LlamaLogLevel.error, maxThreads: 1 });

async function openPeer(file) {
  const model = await llama.loadModel({ modelPath: file });
  const context = await model.createContext({
    contextSize: Math.min(512, model.trainContextSize), sequences: 1, batchSize: 512, flashAttention: false,
    threads: { ideal: 1, min: 1 }, // on a busy machine its threads would wait for each other
    experimentalKvCacheKeyType: 'F32', experimentalKvCacheValueType: 'F32',
  });
  return { model, sequence: context.getSequence(), close: () => model.dispose() };
}

// Greedy ids, and for each the share of the likeliest token that the second one fell short by.
async function llamaAnswer(peer, prompt, count) {
  await peer.sequence.clearHistory();
  const ids = [];
  const margins = [];
  const generation = peer.sequence.evaluateWithMetadata(prompt, { probabilities: true }, { temperature: 0, yieldEogToken: true });
  for await (const { token, probabilities } of generation) {
    const [first, second] = [...probabilities.values()];
    ids.push(token);
    margins.push(second === undefined ? 1 : (first - second) / first);
    if (ids.length === count) break;
  }
  return { ids, margins };
}

// The ids of the text without what the tokenizer puts around it.
function sameText(peer, answer) {
  const theirs = [...peer.model.tokenize(answer.prompt, false)];
  const ours = answer.prompt_token_ids;
  const bos = ours.length > theirs.length ? ours.slice(ours.length - theirs.length) : ours;
  return theirs.length > 0 && JSON.stringify(bos) === JSON.stringify(theirs);
}

let opened = 0;

async function compare(model) {
  const name = path.basename(model);
  const file = path.join(scratch, `${name}.gguf`);
  // Under a name that says nothing: llama.cpp expects certain tokens of files that are called after Phi-3.
  const plain = path.join(scratch, `checkpoint-${opened++}`);
  if (fs.existsSync(model)) fs.symlinkSync(path.resolve(model), plain);
  run(['export', '--gguf', fs.existsSync(plain) ? plain : model, file, '--type', 'f32', '--log-level', 'error']);
  const room = windowOf(model);
  const answers = hearthAnswers(model, Math.min(tokensEach, room));
  const peer = await openPeer(file);
  const total = { prompts: 0, tokens: 0, ties: 0, bad: 0 };
  for (const answer of answers) {
    if (!sameText(peer, answer)) {
      console.log(`  ${name}: ${JSON.stringify(answer.prompt)} has other token ids: ${answer.prompt_token_ids} against `
        + `${[...peer.model.tokenize(answer.prompt, false)]}`);
      total.bad += 1;
    }
    const ours = answer.token_ids.slice(0, Math.max(0, room - answer.prompt_token_ids.length));
    if (ours.length === 0) continue; // the prompt alone is longer than the window
    const { ids, margins } = await llamaAnswer(peer, answer.prompt_token_ids, ours.length);
    const at = ours.findIndex((token, i) => token !== ids[i]);
    const equal = at < 0 ? ours.length : at;
    total.prompts += 1;
    total.tokens += equal;
    if (at < 0) continue;
    if (margins[at] < tie) {
      total.ties += 1;
      continue;
    }
    total.bad += 1;
    console.log(`  ${name}: ${JSON.stringify(answer.prompt)}: ${equal} tokens equal, then ${ours[at]} and ${ids[at]} (margin ${margins[at]?.toFixed(4)})`);
  }
  // A comparison of nothing proves nothing.
  if (total.tokens === 0) total.bad += 1;
  console.log(`${total.bad === 0 ? 'ok  ' : 'FAIL'}  ${name}: ${total.prompts} prompts, ${total.tokens} greedy tokens equal, ${total.ties} ended in a tie`);
  await peer.close();
  return total.bad === 0;
}

const models = process.argv.length > 2 ? process.argv.slice(2) : defaultModels();
let good = true;
for (const model of models) good = (await compare(model)) && good;
process.exit(good ? 0 : 1);
