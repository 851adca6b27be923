// A model of a known shape with random weights, as one GGUF file that both sides read: a Hugging Face folder is written,
// and `hearth export --gguf` makes the file of it. Speed does not depend on what the weights say.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

export const shapes = {
  '0.1b': { layers: 12, hidden: 768, heads: 12, kvHeads: 4, headDim: 64, ffn: 2048, vocab: 32000 },
  '1b': { layers: 16, hidden: 2048, heads: 32, kvHeads: 8, headDim: 64, ffn: 8192, vocab: 32000 },
  '4b': { layers: 32, hidden: 3072, heads: 24, kvHeads: 8, headDim: 128, ffn: 8192, vocab: 32000 },
};
export const types = ['bf16', 'q8_0', 'q4_0'];

// Weights that a token meets, and their bytes: those of the projections, and of the head, which is the embedding table
// in at least 8 bits.
export function work(shape, type) {
  const { layers, hidden, heads, kvHeads, headDim, ffn, vocab } = shapes[shape];
  const projections = layers * hidden * ((2 * heads + 2 * kvHeads) * headDim + 3 * ffn);
  const bits = { bf16: 16, q8_0: 8.5, q4_0: 4.5 }[type];
  return { projections, bytes: (projections * bits + vocab * hidden * Math.max(bits, 8.5)) / 8 };
}

const contextLength = 32768;

// --- numbers ----------------------------------------------------------------------------------------------------
function mulberry32(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const scratch = new DataView(new ArrayBuffer(4));
function toBf16(value) {
  scratch.setFloat32(0, value);
  const bits = scratch.getUint32(0);
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

// A prime number of normal variates; every matrix reads from it at its own offset, so no two rows are alike.
const poolSize = 4_000_037;
function makePool() {
  const uniform = mulberry32(1234);
  const pool = new Uint16Array(poolSize);
  for (let i = 0; i < poolSize; ++i) {
    const normal = Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
    pool[i] = toBf16(normal * 0.02);
  }
  return pool;
}

function fill(pool, offset, count) {
  const out = new Uint16Array(count);
  for (let done = 0; done < count; ) {
    const from = (offset + done) % poolSize;
    const n = Math.min(count - done, poolSize - from);
    out.set(pool.subarray(from, from + n), done);
    done += n;
  }
  return out;
}

// --- tensors, in the order in which the file holds them -----------------------------------------------------------
function tensors({ layers, hidden, heads, kvHeads, headDim, ffn, vocab }) {
  const list = [['model.embed_tokens', [vocab, hidden]]];
  for (let i = 0; i < layers; ++i) {
    const parts = {
      input_layernorm: [hidden],
      'self_attn.q_proj': [heads * headDim, hidden],
      'self_attn.k_proj': [kvHeads * headDim, hidden],
      'self_attn.v_proj': [kvHeads * headDim, hidden],
      'self_attn.o_proj': [hidden, heads * headDim],
      post_attention_layernorm: [hidden],
      'mlp.gate_proj': [ffn, hidden],
      'mlp.up_proj': [ffn, hidden],
      'mlp.down_proj': [hidden, ffn],
    };
    for (const [part, dims] of Object.entries(parts)) list.push([`model.layers.${i}.${part}`, dims]);
  }
  list.push(['model.norm', [hidden]]);
  return list.map(([name, dims]) => ({ name: `${name}.weight`, dims, count: dims.reduce((product, dim) => product * dim, 1) }));
}

// --- a byte-level tokenizer with as many tokens as the shape wants ------------------------------------------------
function byteAlphabet() {
  const printable = [];
  for (let b = 33; b <= 126; ++b) printable.push(b);
  for (let b = 161; b <= 172; ++b) printable.push(b);
  for (let b = 174; b <= 255; ++b) printable.push(b);
  let extra = 0;
  return Array.from({ length: 256 }, (_, b) => String.fromCodePoint(printable.includes(b) ? b : 256 + extra++));
}

// All merges are of ASCII: a token is whole text, so that an event leaves the server for each.
function vocabulary(size) {
  const tokens = byteAlphabet();
  const letters = tokens.slice(33, 127);
  const whole = [...letters];
  const merges = [];
  for (let i = 0; tokens.length < size - 2; ++i) {
    const left = whole[Math.floor(i / letters.length)];
    const right = letters[i % letters.length];
    merges.push([left, right]);
    tokens.push(left + right);
    whole.push(left + right);
  }
  return { tokens: [...tokens, '<s>', '</s>'], merges };
}

function writeHfFiles(dir, shape) {
  const { tokens, merges } = vocabulary(shape.vocab);
  const write = (name, value) => fs.writeFileSync(path.join(dir, name), JSON.stringify(value));
  write('config.json', {
    architectures: ['LlamaForCausalLM'], model_type: 'llama', torch_dtype: 'bfloat16', hidden_act: 'silu',
    hidden_size: shape.hidden, intermediate_size: shape.ffn, num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads, num_key_value_heads: shape.kvHeads, head_dim: shape.headDim,
    vocab_size: shape.vocab, max_position_embeddings: contextLength, rms_norm_eps: 1e-5, rope_theta: 500000,
    tie_word_embeddings: true, bos_token_id: shape.vocab - 2, eos_token_id: shape.vocab - 1,
  });
  const special = [shape.vocab - 2, shape.vocab - 1].map((id) => ({
    id, content: tokens[id], single_word: false, lstrip: false, rstrip: false, normalized: false, special: true,
  }));
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  write('tokenizer.json', {
    version: '1.0', truncation: null, padding: null, added_tokens: special, normalizer: null,
    pre_tokenizer: byteLevel, post_processor: null, decoder: byteLevel,
    model: {
      type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: null, end_of_word_suffix: null,
      fuse_unk: false, byte_fallback: false, vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: merges.map(([left, right]) => `${left} ${right}`),
    },
  });
  write('tokenizer_config.json', { bos_token: '<s>', eos_token: '</s>', tokenizer_class: 'PreTrainedTokenizerFast' });
}

function writeAll(descriptor, typed) {
  const bytes = Buffer.from(typed.buffer, typed.byteOffset, typed.byteLength);
  for (let done = 0; done < bytes.length; ) done += fs.writeSync(descriptor, bytes, done, Math.min(bytes.length - done, 1 << 28));
}

function writeSafetensors(file, list) {
  const header = {};
  let offset = 0;
  for (const tensor of list) {
    header[tensor.name] = { dtype: 'BF16', shape: tensor.dims, data_offsets: [2 * offset, 2 * (offset + tensor.count)] };
    tensor.offset = offset % poolSize;
    offset += tensor.count;
  }
  let text = JSON.stringify(header);
  text += ' '.repeat((8 - (text.length % 8)) % 8);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const out = fs.openSync(file, 'w');
  fs.writeSync(out, length);
  fs.writeSync(out, text);
  const pool = makePool();
  for (const { dims, offset: from, count } of list) {
    writeAll(out, dims.length === 1 ? new Uint16Array(count).fill(toBf16(1)) : fill(pool, from, count));
  }
  fs.closeSync(out);
}

// Makes the file under `root` unless it is there, and tells where. The folder that it is made of goes again.
export function randomModel(root, program, name, type) {
  const shape = shapes[name];
  if (!shape) throw new Error(`unknown shape '${name}': use ${Object.keys(shapes).join(', ')}`);
  if (!types.includes(type)) throw new Error(`unknown type '${type}': use ${types.join(', ')}`);
  const list = tensors(shape);
  const file = path.join(root, `random-${name}-${type}.gguf`);
  if (!fs.existsSync(file)) {
    const dir = path.join(root, `random-${name}`);
    fs.mkdirSync(dir, { recursive: true });
    writeHfFiles(dir, shape);
    writeSafetensors(path.join(dir, 'model.safetensors'), list);
    execFileSync(program, ['export', '--gguf', dir, `${file}.part`, '--type', type], { stdio: ['ignore', 'ignore', 'inherit'] });
    fs.renameSync(`${file}.part`, file);
    fs.rmSync(dir, { recursive: true });
  }
  return { file, vocab: shape.vocab, parameters: list.reduce((sum, tensor) => sum + tensor.count, 0) };
}
