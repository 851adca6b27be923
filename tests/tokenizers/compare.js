// Every family's small tokenizer, thousands of strings from a seed: Hearth against @huggingface/tokenizers.
//
//   node compare.js [SEED] [STRINGS]
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { families } from './families.js';
import { probe, writeTokenizer } from './probe.js';
import { breakUtf8, makeRandom, makeString } from './strings.js';

const seed = Number(process.argv[2] ?? 20240607);
const count = Number(process.argv[3] ?? 2500);
console.log(`seed ${seed}, ${count} strings a family`);

const root = mkdtempSync(join(tmpdir(), 'hearth-tokenizers-'));
let wrong = 0;

function report(name, text, expected, actual) {
  wrong += 1;
  if (wrong <= 20) console.log(`${name}: ${JSON.stringify(text)}\n  expected ${JSON.stringify(expected)}\n  got      ${JSON.stringify(actual)}`);
}

function makeStrings(tokenizer) {
  const random = makeRandom(seed);
  const special = tokenizer.added_tokens.map((token) => token.content);
  const strings = ['', ' ', '\n'];
  while (strings.length < count) {
    const text = makeString(random, special);
    strings.push(random.chance(0.1) ? breakUtf8(random, text) : text);
  }
  return strings;
}

function compare(name, json) {
  const strings = makeStrings(json);
  const results = probe(writeTokenizer(root, name, json), strings);
  const reference = new Tokenizer(json, {});
  strings.forEach((string, i) => {
    // Like Rust and the web, a decoder of UTF-8 puts one U+FFFD for each maximal invalid part.
    const text = typeof string === 'string' ? string : new TextDecoder('utf-8', { ignoreBOM: true }).decode(string);
    const actual = results[i];
    const { ids } = reference.encode(text, { add_special_tokens: false });
    const expected = {
      ids,
      ids_special: reference.encode(text).ids,
      decoded: ids.length > 0 ? reference.decode(ids, { skip_special_tokens: false, clean_up_tokenization_spaces: false }) : '',
      streamed: true,
    };
    for (const field of Object.keys(expected)) {
      if (JSON.stringify(expected[field]) !== JSON.stringify(actual[field])) report(`${name} ${field}`, text, expected[field], actual[field]);
    }
  });
  console.log(`${name}: ${strings.length} strings`);
}

try {
  for (const [name, json] of Object.entries(families)) compare(name, json);
} finally {
  rmSync(root, { recursive: true });
}
if (wrong > 0) {
  console.log(`${wrong} differences (seed ${seed})`);
  process.exit(1);
}
