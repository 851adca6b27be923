// A model of a known shape with random weights, written twice: as a Hugging Face folder for Hearth and as GGUF for
// llama.cpp. Same numbers in both, so the greedy tokens can be compared; speed does not depend on what the weights say.
import fs from 'node:fs';
import path from 'node:path';

import { GgufWriter } from './gguf.mjs';

export const shapes = {
  '0.1b': { layers: 12, hidden: 768, heads: 12, kvHeads: 4, headDim: 64, ffn: 2048, vocab: 32000 },
  '1b': { layers: 16, hidden: 2048, heads: 32, kvHeads: 8, headDim: 64, ffn: 8192, vocab: 32000 },
  '4b': { layers: 32, hidden: 3072, heads: 24, kvHeads: 8, headDim: 128, ffn: 8192, vocab: 32000 },
};

const contextLength = 8192;
const ropeTheta = 500000;
const normEpsilon = 1e-5;

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

// --- tensors, in the order in which both files hold them ----------------------------------------------------------
function tensors(shape) {
  const { layers, hidden, heads, kvHeads, headDim, ffn, vocab } = shape;
  const list = [{ hf: 'model.embed_tokens.weight', gguf: 'token_embd.weight', dims: [vocab, hidden] }];
  for (let i = 0; i < layers; ++i) {
    const hf = `model.layers.${i}`;
    const gguf = `blk.${i}`;
    list.push(
      { hf: `${hf}.input_layernorm.weight`, gguf: `${gguf}.attn_norm.weight`, dims: [hidden] },
      { hf: `${hf}.self_attn.q_proj.weight`, gguf: `${gguf}.attn_q.weight`, dims: [heads * headDim, hidden], permute: heads },
      { hf: `${hf}.self_attn.k_proj.weight`, gguf: `${gguf}.attn_k.weight`, dims: [kvHeads * headDim, hidden], permute: kvHeads },
      { hf: `${hf}.self_attn.v_proj.weight`, gguf: `${gguf}.attn_v.weight`, dims: [kvHeads * headDim, hidden] },
      { hf: `${hf}.self_attn.o_proj.weight`, gguf: `${gguf}.attn_output.weight`, dims: [hidden, heads * headDim] },
      { hf: `${hf}.post_attention_layernorm.weight`, gguf: `${gguf}.ffn_norm.weight`, dims: [hidden] },
      { hf: `${hf}.mlp.gate_proj.weight`, gguf: `${gguf}.ffn_gate.weight`, dims: [ffn, hidden] },
      { hf: `${hf}.mlp.up_proj.weight`, gguf: `${gguf}.ffn_up.weight`, dims: [ffn, hidden] },
      { hf: `${hf}.mlp.down_proj.weight`, gguf: `${gguf}.ffn_down.weight`, dims: [hidden, ffn] },
    );
  }
  list.push({ hf: 'model.norm.weight', gguf: 'output_norm.weight', dims: [hidden] });
  return list;
}

const count = (dims) => dims.reduce((product, dim) => product * dim, 1);

// llama.cpp turns neighbouring pairs, Hugging Face turns halves: rows of q and k change places within a head.
function permuteRows(data, heads, [rows, cols]) {
  const out = new data.constructor(data.length);
  const headDim = rows / heads;
  const half = headDim / 2;
  for (let head = 0; head < heads; ++head) {
    for (let i = 0; i < half; ++i) {
      for (let part = 0; part < 2; ++part) {
        const from = (head * headDim + part * half + i) * cols;
        out.set(data.subarray(from, from + cols), (head * headDim + 2 * i + part) * cols);
      }
    }
  }
  return out;
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

function vocabulary(size) {
  const tokens = byteAlphabet();
  const merges = [];
  for (let i = 0; tokens.length < size - 2; ++i) {
    const left = tokens[Math.floor(i / 200)];
    const right = tokens[i % 200];
    merges.push([left, right]);
    tokens.push(left + right);
  }
  return { tokens: [...tokens, '<s>', '</s>'], merges };
}

function writeHfFiles(dir, shape, { tokens, merges }) {
  const write = (name, value) => fs.writeFileSync(path.join(dir, name), JSON.stringify(value));
  write('config.json', {
    architectures: ['LlamaForCausalLM'], model_type: 'llama', torch_dtype: 'bfloat16', hidden_act: 'silu',
    hidden_size: shape.hidden, intermediate_size: shape.ffn, num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads, num_key_value_heads: shape.kvHeads, head_dim: shape.headDim,
    vocab_size: shape.vocab, max_position_embeddings: contextLength, rms_norm_eps: normEpsilon, rope_theta: ropeTheta,
    tie_word_embeddings: true, bos_token_id: shape.vocab - 2, eos_token_id: shape.vocab - 1,
  });
  const special = [shape.vocab - 2, shape.vocab - 1].map((id) => ({
    id, content: tokens[id], single_word: false, lstrip: false, rstrip: false, normalized: false, special: true,
  }));
  write('tokenizer.json', {
    version: '1.0', truncation: null, padding: null, added_tokens: special, normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null, decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: null, end_of_word_suffix: null,
      fuse_unk: false, byte_fallback: false, vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: merges.map(([left, right]) => `${left} ${right}`),
    },
  });
  write('tokenizer_config.json', { bos_token: '<s>', eos_token: '</s>', tokenizer_class: 'PreTrainedTokenizerFast' });
}

function writeSafetensors(file, list, dataOf) {
  const header = {};
  let offset = 0;
  for (const tensor of list) {
    const bytes = 2 * count(tensor.dims);
    header[tensor.hf] = { dtype: 'BF16', shape: tensor.dims, data_offsets: [offset, offset + bytes] };
    offset += bytes;
  }
  let text = JSON.stringify(header);
  text += ' '.repeat((8 - (text.length % 8)) % 8);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const out = fs.openSync(file, 'w');
  fs.writeSync(out, length);
  fs.writeSync(out, text);
  for (const tensor of list) writeAll(out, dataOf(tensor));
  fs.closeSync(out);
}

export function writeAll(descriptor, typed) {
  const bytes = Buffer.from(typed.buffer, typed.byteOffset, typed.byteLength);
  for (let done = 0; done < bytes.length; ) done += fs.writeSync(descriptor, bytes, done, Math.min(bytes.length - done, 1 << 28));
}

function writeGguf(file, shape, { tokens, merges }, list, dataOf) {
  const gguf = new GgufWriter();
  gguf.string('general.architecture', 'llama').string('general.name', 'random').u32('general.file_type', 32);
  gguf.u32('llama.context_length', contextLength).u32('llama.embedding_length', shape.hidden);
  gguf.u32('llama.block_count', shape.layers).u32('llama.feed_forward_length', shape.ffn);
  gguf.u32('llama.attention.head_count', shape.heads).u32('llama.attention.head_count_kv', shape.kvHeads);
  gguf.u32('llama.attention.key_length', shape.headDim).u32('llama.attention.value_length', shape.headDim);
  gguf.f32('llama.attention.layer_norm_rms_epsilon', normEpsilon).f32('llama.rope.freq_base', ropeTheta);
  gguf.u32('llama.rope.dimension_count', shape.headDim).u32('llama.vocab_size', shape.vocab);
  gguf.string('tokenizer.ggml.model', 'gpt2').string('tokenizer.ggml.pre', 'gpt-2');
  gguf.strings('tokenizer.ggml.tokens', tokens);
  gguf.i32s('tokenizer.ggml.token_type', tokens.map((_, id) => (id >= shape.vocab - 2 ? 3 : 1)));
  gguf.strings('tokenizer.ggml.merges', merges.map(([left, right]) => `${left} ${right}`));
  gguf.u32('tokenizer.ggml.bos_token_id', shape.vocab - 2).u32('tokenizer.ggml.eos_token_id', shape.vocab - 1);
  gguf.bool('tokenizer.ggml.add_bos_token', false);
  for (const tensor of list) {
    // llama.cpp wants vectors in f32.
    const isVector = tensor.dims.length === 1;
    gguf.tensor(tensor.gguf, tensor.dims, isVector ? 'f32' : 'bf16', () => {
      const data = dataOf(tensor);
      if (isVector) return Float32Array.from(data, fromBf16);
      return tensor.permute ? permuteRows(data, tensor.permute, tensor.dims) : data;
    });
  }
  gguf.write(file);
}

function fromBf16(bits) {
  scratch.setUint32(0, bits << 16);
  return scratch.getFloat32(0);
}

// Makes both files under `root` unless they are there, and tells where.
export function randomModel(root, name) {
  const shape = shapes[name];
  if (!shape) throw new Error(`unknown shape '${name}': use ${Object.keys(shapes).join(', ')}`);
  const dir = path.join(root, `random-${name}`);
  const gguf = path.join(root, `random-${name}.gguf`);
  if (!fs.existsSync(path.join(dir, 'done'))) {
    fs.mkdirSync(dir, { recursive: true });
    const list = tensors(shape);
    const pool = makePool();
    let offset = 0;
    for (const tensor of list) {
      tensor.offset = offset % poolSize;
      offset += count(tensor.dims);
    }
    const dataOf = (tensor) => tensor.dims.length === 1
      ? new Uint16Array(tensor.dims[0]).fill(toBf16(1)) : fill(pool, tensor.offset, count(tensor.dims));
    const words = vocabulary(shape.vocab);
    writeHfFiles(dir, shape, words);
    writeSafetensors(path.join(dir, 'model.safetensors'), list, dataOf);
    writeGguf(gguf, shape, words, list, dataOf);
    fs.writeFileSync(path.join(dir, 'done'), '');
  }
  return { dir, gguf, vocab: shape.vocab, parameters: tensors(shape).reduce((sum, tensor) => sum + count(tensor.dims), 0) };
}
