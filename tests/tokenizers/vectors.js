// The vectors of shared/data, where HEARTH_SHARED names that folder: Hugging Face's, and llama.cpp's.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { probe } from './probe.js';

// llama.cpp's vocabularies of which the tokenizer.json is at hand.
const LLAMACPP = { 'gpt-2': 'gpt2', 'llama-bpe': 'llama3', 'llama-spm': 'llama2', 'phi-3': 'phi-3-mini', qwen2: 'qwen2.5' };

const shared = process.env.HEARTH_SHARED;
if (!shared) {
  console.log('skipped: HEARTH_SHARED is not set, so the vectors of real tokenizers are not here');
  process.exit(0);
}
const root = mkdtempSync(join(tmpdir(), 'hearth-vectors-'));
let wrong = 0;

function unpack(family) {
  const dir = join(root, family);
  if (existsSync(dir)) return dir;
  const path = join(shared, 'data/tokenizers', family, 'tokenizer.json.gz');
  writeDir(dir, gunzipSync(readFileSync(path)));
  return dir;
}

function writeDir(dir, tokenizer) {
  mkdirSync(dir);
  writeFileSync(join(dir, 'tokenizer.json'), tokenizer);
}

function report(name, text, expected, actual) {
  wrong += 1;
  if (wrong <= 20) console.log(`${name}: ${JSON.stringify(text)}\n  expected ${JSON.stringify(expected)}\n  got      ${JSON.stringify(actual)}`);
}

function checkHuggingFace(family) {
  const { cases } = JSON.parse(readFileSync(join(shared, 'data/tokenizers', family, 'vectors.json'), 'utf8'));
  const results = probe(unpack(family), cases.map((c) => c.text));
  cases.forEach((c, i) => {
    for (const field of ['ids', 'ids_special', 'decoded']) {
      if (JSON.stringify(c[field]) !== JSON.stringify(results[i][field])) report(`${family} ${field}`, c.text, c[field], results[i][field]);
    }
    if (!results[i].streamed) report(`${family} stream`, c.text, true, false);
  });
  console.log(`${family}: ${cases.length} vectors of Hugging Face`);
}

function checkLlamaCpp(vocab, family) {
  const path = join(shared, 'data/llamacpp-vocab', `ggml-vocab-${vocab}.gguf`);
  const texts = readFileSync(`${path}.inp`, 'utf8').split('\n__ggml_vocab_test__\n').slice(0, -1);
  const expected = readFileSync(`${path}.out`, 'utf8').split('\n');
  const results = probe(unpack(family), texts);
  texts.forEach((text, i) => {
    const ids = expected[i].trim().split(/\s+/).filter(Boolean).map(Number);
    if (JSON.stringify(ids) !== JSON.stringify(results[i].ids)) report(`llama.cpp ${vocab}`, text, ids, results[i].ids);
  });
  console.log(`${family}: ${texts.length} vectors of llama.cpp's ${vocab}`);
}

try {
  for (const family of readdirSync(join(shared, 'data/tokenizers'))) checkHuggingFace(family);
  for (const [vocab, family] of Object.entries(LLAMACPP)) checkLlamaCpp(vocab, family);
} finally {
  rmSync(root, { recursive: true });
}
if (wrong > 0) {
  console.log(`${wrong} differences`);
  process.exit(1);
}
