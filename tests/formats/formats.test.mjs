// GGUF files, quantised folders and the packed cache, through the command line and with the model inside the program.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.resolve(here, '../..');
const program = process.env.HEARTH ?? path.join(root, 'build/hearth');
const ember = path.join(root, 'models/ember');
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'hearth-formats-'));
after(() => fs.rmSync(scratch, { recursive: true, force: true }));
const at = (name) => path.join(scratch, name);

function hearth(...args) {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout: 240_000 });
  return { status, text: stdout + stderr };
}
function run(...args) {
  const { status, text } = hearth(...args);
  assert.equal(status, 0, text);
  return text;
}

// Greedy ids of a few prompts, and what was logged.
function answer(model, ...flags) {
  const prompts = at('prompts.jsonl');
  const out = at('out.jsonl');
  fs.writeFileSync(prompts, ['Once upon a time', 'What is the sun?'].map((prompt) => `${JSON.stringify({ prompt })}\n`).join(''));
  const log = run('generate', model, '--prompts', prompts, '--out', out, '--max-tokens', '24', '--temperature', '0', '--threads', '1', ...flags);
  const lines = fs.readFileSync(out, 'utf8').trim().split('\n').map((line) => JSON.parse(line));
  const ids = Object.fromEntries(lines.map(({ prompt, prompt_token_ids: before, token_ids: after_ }) => [prompt, [before, after_]]));
  return { ids, log };
}

test('a GGUF file answers as the folder that it was made from', () => {
  run('export', '--gguf', ember, at('ember.gguf'), '--type', 'f32');
  const flags = ['--compute', 'f32', '--kv-cache-dtype', 'f32', '--data-dir', at('none')];
  assert.deepEqual(answer(at('ember.gguf'), ...flags).ids, answer(ember, ...flags).ids);
});

test('its name is enough under DATA_DIR/models, with or without the ending; a folder with one file is one', () => {
  fs.mkdirSync(at('data/models/nested'), { recursive: true });
  fs.copyFileSync(at('ember.gguf'), at('data/models/small.gguf'));
  fs.copyFileSync(at('ember.gguf'), at('data/models/nested/x.gguf'));
  for (const name of ['small', 'small.gguf', 'nested']) {
    assert.match(run('inspect', name, '--data-dir', at('data')), /LlamaForCausalLM/);
    assert.match(run('tokenize', '--model', name, '--data-dir', at('data'), 'Hello'), /tokens/);
  }
});

test('blocks of 8 and 4 bits are served; what was packed is mapped by the next start', () => {
  for (const type of ['q8_0', 'q4_0']) {
    run('export', '--gguf', ember, at(`${type}.gguf`), '--type', type);
    const first = answer(at(`${type}.gguf`), '--data-dir', at('cache'));
    const second = answer(at(`${type}.gguf`), '--data-dir', at('cache'));
    assert.match(first.log, /packed weights kept/);
    assert.doesNotMatch(second.log, /packed weights/);
    assert.deepEqual(second.ids, first.ids);
  }
});

test('a damaged or stale cache is noticed and made again', () => {
  fs.cpSync(ember, at('model'), { recursive: true });
  const flags = ['--quantize', 'q4', '--data-dir', at('cache2')];
  const first = answer(at('model'), ...flags);
  assert.match(first.log, /packed weights kept/);
  const [file] = fs.readdirSync(at('cache2/packed')).map((name) => path.join(at('cache2/packed'), name));

  const bytes = fs.readFileSync(file);
  bytes[bytes.length - 1000] ^= 16;
  fs.writeFileSync(file, bytes);
  const damaged = answer(at('model'), ...flags);
  assert.match(damaged.log, /checksum/);
  assert.deepEqual(damaged.ids, first.ids);

  fs.truncateSync(file, bytes.length / 2);
  assert.match(answer(at('model'), ...flags).log, /cannot be used/);
  assert.doesNotMatch(answer(at('model'), ...flags).log, /packed weights|changed/);

  const weights = at('model/model.safetensors');
  const changed = fs.readFileSync(weights);
  changed[changed.length - 2] ^= 1;
  fs.writeFileSync(weights, changed);
  assert.match(answer(at('model'), ...flags).log, /files changed/);
});

test('a cache that cannot be written is a warning, not an end', () => {
  fs.writeFileSync(at('file'), '');
  const { log, ids } = answer(ember, '--quantize', 'q8', '--data-dir', at('file'));
  assert.match(log, /packed weights are not kept/);
  assert.ok(Object.keys(ids).length === 2);
});

test('hearth quantize writes a folder that is served as it is', () => {
  const text = at('text.txt');
  fs.writeFileSync(text, 'Once upon a time there was a girl who lived in a small house by the sea. '.repeat(40));
  const log = run('quantize', ember, '--to', 'q4', '--calibrate', text, '--out', at('ember-q4'));
  assert.match(log, /calibrated on \d+ tokens/);
  assert.match(log, /kept in q8, by loss in q4/);
  assert.match(log, /4\.\d\d bits each/);
  assert.match(run('inspect', at('ember-q4')), /quantised to q4/);
  assert.equal(Object.keys(answer(at('ember-q4'), '--data-dir', at('none')).ids).length, 2);
  const again = hearth('quantize', at('ember-q4'), '--to', 'q4', '--out', at('twice'));
  assert.notEqual(again.status, 0);
  assert.match(again.text, /quantised already/);
});

test('what cannot be read says what to do', () => {
  fs.writeFileSync(at('bad.gguf'), 'GGUFwhat');
  const bad = hearth('inspect', at('bad.gguf'));
  assert.equal(bad.status, 1);
  assert.match(bad.text, /truncated|version/);
  assert.match(hearth('export', '--gguf', at('ember.gguf'), at('x.gguf')).text, /GGUF file already/);
});
