// Strings from a seed: prose, code, scripts, emoji, control characters, long runs, broken UTF-8.

// mulberry32: small, and the same everywhere.
export function makeRandom(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return {
    below: (bound) => Math.floor(next() * bound),
    chance: (probability) => next() < probability,
    pick: (items) => items[Math.floor(next() * items.length)],
  };
}

const span = (first, last, step = 1) => {
  const out = [];
  for (let c = first; c <= last; c += step) out.push(String.fromCodePoint(c));
  return out;
};

const WORDS = ('the of and hearth token model serve it is was not they said world compute café naïve '
  + "don't we'll I'm you've he'd THEY'RE Straße кошка αβγ 你好 世界 こんにちは 안녕하세요 שלום مرحبا हिन्दी ไทย")
  .split(' ');
const CODE = ['for (int i = 0; i < n; ++i) {', '\treturn x[i];', '}', 'def f(a, b=None):', '    pass',
  '<div class="a">', '/* … */', '$HOME/.cache', 'a->b::c<T>&&', '0xFF', '1e-9', '{"k": [1, 2.5, null]}', '\\n'];
const POOLS = [
  span(0x20, 0x7e),
  [' ', '  ', '\t', '\n', '\r\n', '\n\n', ' \n', '\r', '\u00a0', '\u2003', '\u3000'],
  span(0x00, 0x1f),
  span(0x30, 0x39),
  [...span(0x4e00, 0x9fa5, 37), ...span(0x3041, 0x3096), ...span(0xac00, 0xd7a3, 97)],
  [...span(0x621, 0x64a), ...span(0x5d0, 0x5ea), '\u064b', '\u05b0'],
  ['e\u0301', 'a\u0323\u0301', 'n\u0303', 'é', 'ñ', 'ü', 'ﬁ', '½', '①', 'Å', 'ß'],
  ['😀', '👩‍🚀', '👨‍👩‍👧‍👦', '🏳️‍🌈', '👍🏽', '🇫🇷', '❤️', '𝔘', '🪐', '\u200d'],
  ["'s", "'t", "'re", "'LL", "'D", '’s'],
  ['▁', '▁▁', 'Ġ', '##', '<0x0A>', '</w>'],
  span(0x905, 0x939),
];

export function makeString(random, special) {
  const kind = random.below(10);
  if (kind < 3) {
    let text = '';
    for (let n = 1 + random.below(20); n > 0; --n) text += random.pick(WORDS) + random.pick([' ', ' ', ' ', ', ', '. ', '\n']);
    return text;
  }
  if (kind === 3) {
    let text = '';
    for (let n = 1 + random.below(6); n > 0; --n) text += random.pick(CODE) + random.pick(['\n', ' ', '\n\n']);
    return text;
  }
  if (kind === 4) return random.pick([' ', '\n', 'a', '1', '▁', '我', 'é', '\t', 'ab']).repeat(1 + random.below(120));
  let text = '';
  const pools = [random.pick(POOLS), random.pick(POOLS)];
  for (let n = 1 + random.below(16); n > 0; --n) {
    const pool = random.pick(pools);
    for (let m = 1 + random.below(5); m > 0; --m) text += random.pick(pool);
    if (random.chance(0.15)) text += ' '.repeat(1 + random.below(8));
    if (random.chance(0.05) && special.length > 0) text += random.pick(special);
  }
  return text;
}

// Bytes cut, doubled and overwritten at random.
export function breakUtf8(random, text) {
  const bytes = Buffer.from(text);
  for (let n = 1 + random.below(4); n > 0 && bytes.length > 0; --n) {
    bytes[random.below(bytes.length)] = random.pick([0x80, 0xbf, 0xc0, 0xc3, 0xe2, 0xed, 0xf0, 0xf4, 0xff]);
  }
  return random.chance(0.3) ? bytes.subarray(0, random.below(bytes.length + 1)) : bytes;
}
