#!/usr/bin/env node
// Prompts for `hearth generate`: openings that a story may have, varied enough that the stories are.
//
//   openings.mjs COUNT SEED > prompts.jsonl
import { Random } from './random.mjs';
import { adjectives, animals, names, things } from './words.mjs';

const [count, seed] = process.argv.slice(2).map(Number);
if (!(count > 0) || !Number.isInteger(seed)) {
  console.error('usage: openings.mjs COUNT SEED');
  process.exit(2);
}
const random = new Random(seed);
const temperatures = [0.6, 0.7, 0.8, 0.9]; // low: a small pupil learns more from a clear text

// Share of all prompts, and how one is made. The empty one lets the model choose.
const kinds = [
  [34, () => ''],
  [16, () => `Once upon a time, there was a ${random.of(adjectives)}`],
  [8, () => `Once upon a time, there was a ${random.of(adjectives)} ${random.of(animals)}`],
  [8, () => `One day, ${random.of(names)}`],
  [6, () => `${random.of(names)} was a ${random.of(adjectives)}`],
  [6, () => `There was once a ${random.of(adjectives)} ${random.of(things)}`],
  [6, () => `${random.of(names)} and ${random.of(names)}`],
  [6, () => `One day, a ${random.of(adjectives)} ${random.of(animals)}`],
  [5, () => `In a ${random.of(adjectives)} ${random.of(things)}`],
  [5, () => `${random.of(names)} loved ${random.of(['to', 'the', 'her', 'his'])}`],
];

for (let i = 0; i < count; ++i) {
  const prompt = random.weighted(kinds)();
  const line = { prompt, temperature: random.of(temperatures), seed: random.below(2 ** 31) };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
