// Runs tokenizers_probe (see probe.cpp) on many strings at once.
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const toHex = (text) => Buffer.from(text).toString('hex');

// strings: string or Buffer (for bytes that are not UTF-8). One result a string.
export function probe(dir, strings) {
  const result = spawnSync(process.env.TOKENIZERS_PROBE, [dir], {
    input: strings.map(toHex).join('\n') + '\n',
    maxBuffer: 1 << 30,
    encoding: 'utf8',
  });
  if (result.error) throw result.error;
  if (result.status !== 0) throw new Error(`tokenizers_probe ${dir}: ${result.stderr}`);
  return result.stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line));
}

export function writeTokenizer(root, name, tokenizer, config = {}) {
  const dir = join(root, name);
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(tokenizer));
  writeFileSync(join(dir, 'tokenizer_config.json'), JSON.stringify(config));
  return dir;
}
