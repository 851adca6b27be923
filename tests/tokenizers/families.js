// Small tokenizers of the kinds that real models have, trained on a few lines of text.

const CORPUS = `the cat sat on the mat and the dog ran to the other side of the river, where it met a friend.
We'll see what they've done; it isn't over yet! 2024, 1999, 3.14159 and 1,000,000 are numbers.
for (int i = 0; i < n; ++i) { total += values[i]; } return total; // done
def compute(a, b):\n    return a + b\n\n\tif x == 1:\n\t\tprint("hello world")
Le café est très bon, naïve façade, Straße, señor, über, Ångström, œuvre.
你好 世界 我们 今天 天气 很好 こんにちは 世界 안녕하세요 세계 שלום עולם مرحبا بالعالم हिन्दी भाषा ไทย ภาษา
😀 😀 👍 👍🏽 ❤️ 🇫🇷 👩‍🚀 — “quotes” … ½ ﬁ ①`;

const GPT2 = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;
const LLAMA3 = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const QWEN2 = LLAMA3.replace('\\p{N}{1,3}', '\\p{N}');

const byteChars = (() => {
  const chars = [];
  let next = 256;
  for (let byte = 0; byte < 256; ++byte) {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    chars.push(String.fromCodePoint(printable ? byte : next++));
  }
  return chars;
})();
const toByteChars = (text) => [...Buffer.from(text)].map((byte) => byteChars[byte]).join('');

// The most frequent pair of neighbours becomes a token, again and again.
function trainMerges(words, count) {
  const sequences = words.map((word) => [...word]);
  const merges = [];
  while (merges.length < count) {
    const pairs = new Map();
    for (const symbols of sequences) {
      for (let i = 0; i + 1 < symbols.length; ++i) {
        const pair = `${symbols[i]} ${symbols[i + 1]}`;
        pairs.set(pair, (pairs.get(pair) ?? 0) + 1);
      }
    }
    const [best, frequency] = [...pairs].reduce((a, b) => (b[1] > a[1] ? b : a), ['', 0]);
    if (frequency < 2) break;
    const [left, right] = best.split(' ');
    merges.push(best);
    for (const symbols of sequences) {
      for (let i = 0; i + 1 < symbols.length; ++i) {
        if (symbols[i] === left && symbols[i + 1] === right) symbols.splice(i, 2, left + right);
      }
    }
  }
  return merges;
}

const toVocab = (tokens) => Object.fromEntries([...new Set(tokens)].map((token, id) => [token, id]));
const added = (vocab, content, flags = {}) => {
  const id = vocab[content] ?? (vocab[content] = Object.keys(vocab).length);
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true, ...flags };
};
const byteLevel = (use_regex) => ({ type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex });

function byteBpe({ normalizer = null, pattern = null, ignore_merges = false, specials }) {
  const merges = trainMerges(CORPUS.match(GPT2).map(toByteChars), 320);
  const vocab = toVocab([...byteChars, ...merges.map((merge) => merge.replace(' ', ''))]);
  const split = pattern && { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false };
  return {
    version: '1.0',
    normalizer,
    pre_tokenizer: split ? { type: 'Sequence', pretokenizers: [split, byteLevel(false)] } : byteLevel(true),
    post_processor: byteLevel(true),
    decoder: byteLevel(true),
    added_tokens: specials.map(([content, flags]) => added(vocab, content, flags)),
    model: { type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: '', end_of_word_suffix: '',
      fuse_unk: false, byte_fallback: false, ignore_merges, vocab, merges },
  };
}

function sentencePieceBpe({ prefix, specials }) {
  const words = CORPUS.split(/(?<=\s)/u).map((word) => `▁${word.replace(/\s/gu, '')}`);
  const merges = [...trainMerges(words, 320), '▁ ▁', '▁▁ ▁▁'];
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  const vocab = toVocab(['<unk>', '<s>', '</s>', ...bytes, ...CORPUS.replace(/\s/gu, ''), '▁', ...merges.map((merge) => merge.replace(' ', ''))]);
  const space = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
  const decoders = [{ type: 'Replace', pattern: { String: '▁' }, content: ' ' }, { type: 'ByteFallback' }, { type: 'Fuse' }];
  if (prefix) decoders.push({ type: 'Strip', content: ' ', start: 1, stop: 0 });
  const bos = { SpecialToken: { id: '<s>', type_id: 0 } };
  const text = { Sequence: { id: 'A', type_id: 0 } };
  return {
    version: '1.0',
    normalizer: prefix ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '▁' }, space] } : space,
    pre_tokenizer: null,
    post_processor: { type: 'TemplateProcessing', single: [bos, text], pair: [bos, text, { Sequence: { id: 'B', type_id: 1 } }],
      special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } } },
    decoder: { type: 'Sequence', decoders },
    added_tokens: [added(vocab, '<unk>'), added(vocab, '<s>'), ...specials.map(([content, flags]) => added(vocab, content, flags))],
    model: { type: 'BPE', dropout: null, unk_token: '<unk>', continuing_subword_prefix: null, end_of_word_suffix: null,
      fuse_unk: true, byte_fallback: true, ignore_merges: false, vocab, merges },
  };
}

function substrings(words, longest) {
  const counts = new Map();
  for (const word of words) {
    const chars = [...word];
    for (let begin = 0; begin < chars.length; ++begin) {
      for (let end = begin + 1; end <= Math.min(chars.length, begin + longest); ++end) {
        const piece = chars.slice(begin, end).join('');
        counts.set(piece, (counts.get(piece) ?? 0) + 1);
      }
    }
  }
  return counts;
}

function unigram() {
  const words = CORPUS.normalize('NFKC').split(/\s+/u).map((word) => `▁${word}`);
  const counts = [...substrings(words, 6)].filter(([piece, count]) => count > 1 || [...piece].length === 1);
  const total = counts.reduce((sum, [, count]) => sum + count, 0);
  // A distinct score for each piece, so that no two segmentations are equally good.
  const pieces = counts.map(([piece, count], i) => [piece, Math.log(count / total) - i * 1e-4]);
  const metaspace = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true };
  return {
    version: '1.0',
    normalizer: { type: 'NFKC' },
    pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'WhitespaceSplit' }, metaspace] },
    post_processor: null,
    decoder: metaspace,
    added_tokens: [
      { id: 0, content: '<unk>', single_word: false, lstrip: false, rstrip: false, normalized: false, special: true },
      { id: 1, content: '</s>', single_word: false, lstrip: false, rstrip: false, normalized: false, special: true },
    ],
    model: { type: 'Unigram', unk_id: 0, byte_fallback: false, vocab: [['<unk>', 0], ['</s>', 0], ...pieces] },
  };
}

function wordPiece() {
  const words = CORPUS.toLowerCase().normalize('NFD').replace(/\p{Mn}/gu, '').match(/\p{L}+|\p{N}+|\p{P}/gu);
  const vocab = toVocab(['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']);
  for (const piece of substrings(words, 5).keys()) {
    vocab[piece] ??= Object.keys(vocab).length;
    vocab[`##${piece}`] ??= Object.keys(vocab).length;
  }
  return {
    version: '1.0',
    normalizer: { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: { type: 'BertProcessing', sep: ['[SEP]', vocab['[SEP]']], cls: ['[CLS]', vocab['[CLS]']] },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    added_tokens: ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'].map((content) => added(vocab, content)),
    model: { type: 'WordPiece', unk_token: '[UNK]', continuing_subword_prefix: '##', max_input_chars_per_word: 100, vocab },
  };
}

export const families = {
  gpt2: byteBpe({ specials: [['<|endoftext|>']] }),
  llama3: byteBpe({ pattern: LLAMA3, ignore_merges: true, specials: [['<|begin_of_text|>'], ['<|eot_id|>']] }),
  qwen2: byteBpe({ normalizer: { type: 'NFC' }, pattern: QWEN2, specials: [['<|im_start|>'], ['<|im_end|>'], ['<tool_call>', { special: false }]] }),
  llama2: sentencePieceBpe({ prefix: true, specials: [['</s>']] }),
  phi3: sentencePieceBpe({ prefix: true, specials: [['</s>', { rstrip: true, special: false }], ['<|user|>', { rstrip: true }], ['<|end|>', { rstrip: true }]] }),
  gemma: sentencePieceBpe({ prefix: false, specials: [['</s>'], ['<start_of_turn>'], ['<end_of_turn>']] }),
  unigram: unigram(),
  bert: wordPiece(),
};
