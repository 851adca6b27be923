// The question: do Hearth and llama.cpp choose the same greedy tokens on the same trained weights? For each prompt, the
// first place where they differ is shown with how sure Hearth was there: a close call may fall either way.
import os from 'node:os';
import path from 'node:path';

import { HearthChild } from './hearth_child.mjs';
import { hfModel } from './hf_model.mjs';
import { LlamaChild } from './llama.mjs';

const [dir, promptCount = '20', length = '48'] = process.argv.slice(2);
if (!dir) {
  console.error('usage: bench/peers/run agree DIR [PROMPTS] [TOKENS]   (DIR: a Llama-family Hugging Face folder)');
  process.exit(2);
}
const model = hfModel(path.resolve(dir), path.join(os.tmpdir(), 'hearth-bench-models'));
const sequenceTokens = Math.min(model.context, 512);
const hearth = await HearthChild.start({
  program: process.env.HEARTH, model: model.dir, threads: 2, contextTokens: 4096, sequences: 4, extra: ['--compute', 'f32', '--kv-dtype', 'f32'],
});
const llama = await LlamaChild.start({ model: model.gguf, threads: 2, sequenceTokens, sequences: 1 });

let state = 12345;
const random = (bound) => {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0;
  return Math.floor((state / 4294967296) * bound);
};
let equal = 0;
for (let i = 0; i < Number(promptCount); ++i) {
  const prompt = [1, ...Array.from({ length: 3 + random(12) }, () => 3 + random(model.vocab - 3))];
  const ours = (await hearth.complete({ prompt, count: Number(length) })).tokens;
  const theirs = (await llama.complete({ prompt, count: Number(length) })).tokens;
  const differs = ours.findIndex((token, at) => token !== theirs[at]);
  if (differs < 0) {
    ++equal;
    continue;
  }
  const margin = await hearth.margin([...prompt, ...ours.slice(0, differs)]);
  console.log(`prompt ${i}: ${differs} tokens equal, then ${ours[differs]} and ${theirs[differs]}; Hearth's margin there is ${margin.toFixed(4)}`);
}
console.log(`${equal} of ${promptCount} prompts: all ${length} greedy tokens equal`);
hearth.exit();
llama.exit();
process.exit(0);
