#!/usr/bin/env node
// A checkpoint of llama2.c (stories15M.bin and its tokenizer.bin) in Hugging Face's layout.
//
//   from_llama2c.mjs MODEL.bin TOKENIZER.bin FOLDER
//
// MODEL.bin: seven little-endian int32 (width, inner width, layers, heads, key/value heads, vocabulary, context), then f32
// matrices, each kind for all layers. TOKENIZER.bin: an int32, then for each token f32 score, int32 bytes, bytes.
import fs from 'node:fs';
import path from 'node:path';

const [modelFile, tokenizerFile, folder] = process.argv.slice(2);
if (!folder) {
  console.error('usage: from_llama2c.mjs MODEL.bin TOKENIZER.bin FOLDER');
  process.exit(2);
}

function readModel(file) {
  const bytes = fs.readFileSync(file);
  const [width, inner, layers, heads, kvHeads, vocab, context] = Array.from({ length: 7 }, (_, i) => bytes.readInt32LE(4 * i));
  const shape = { width, inner, layers, heads, kvHeads, vocab: Math.abs(vocab), context, tied: vocab > 0 };
  shape.headDim = width / heads;
  let at = 28;
  const take = (...dims) => {
    const size = 4 * dims.reduce((a, b) => a * b, 1);
    if (at + size > bytes.length) throw new Error(`${file}: ends inside its weights; is it a checkpoint of llama2.c's first form?`);
    at += size;
    return { dims, data: bytes.subarray(at - size, at) };
  };
  const tensors = new Map();
  const each = (name, ...dims) => {
    for (let layer = 0; layer < layers; ++layer) tensors.set(`model.layers.${layer}.${name}.weight`, take(...dims));
  };
  const kv = kvHeads * shape.headDim;
  tensors.set('model.embed_tokens.weight', take(shape.vocab, width));
  each('input_layernorm', width);
  each('self_attn.q_proj', width, width);
  each('self_attn.k_proj', kv, width);
  each('self_attn.v_proj', kv, width);
  each('self_attn.o_proj', width, width);
  each('post_attention_layernorm', width);
  each('mlp.gate_proj', inner, width);
  each('mlp.down_proj', width, inner);
  each('mlp.up_proj', inner, width);
  tensors.set('model.norm.weight', take(width));
  take(context, shape.headDim); // the angles' cosines and sines
  if (!shape.tied) tensors.set('lm_head.weight', take(shape.vocab, width));
  if (at !== bytes.length) throw new Error(`${file}: ${bytes.length - at} bytes behind its weights`);
  return { shape, tensors };
}

// llama2.c turns neighbours (0 with 1), Hugging Face halves (0 with head_dim / 2): the rows of q and k change places.
function intoHalves({ dims: [rows, cols], data }, headDim) {
  const out = Buffer.alloc(data.length);
  const row = 4 * cols;
  for (let to = 0; to < rows; ++to) {
    const inHead = to % headDim;
    const from = to - inHead + (inHead < headDim / 2 ? 2 * inHead : 2 * inHead - headDim + 1);
    data.copy(out, to * row, from * row, (from + 1) * row);
  }
  return { dims: [rows, cols], data: out };
}

function writeSafetensors(file, tensors) {
  const header = {};
  let offset = 0;
  for (const [name, { dims, data }] of tensors) {
    header[name] = { dtype: 'F32', shape: dims, data_offsets: [offset, offset + data.length] };
    offset += data.length;
  }
  const text = Buffer.from(JSON.stringify(header) + ' '.repeat(7));
  const padded = text.subarray(0, text.length - (text.length % 8));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(padded.length));
  fs.writeFileSync(file, Buffer.concat([size, padded, ...[...tensors.values()].map(({ data }) => data)]));
}

function readTokens(file, count) {
  const bytes = fs.readFileSync(file);
  let at = 4;
  return Array.from({ length: count }, () => {
    const length = at + 8 <= bytes.length ? bytes.readInt32LE(at + 4) : -1;
    if (length < 0 || at + 8 + length > bytes.length) throw new Error(`${file}: no tokenizer of llama2.c with ${count} tokens`);
    const token = { score: bytes.readFloatLE(at), text: bytes.toString('utf8', at + 8, at + 8 + length) };
    at += 8 + length;
    return token;
  });
}

// Messages of Protocol Buffers: a field is its number and kind, then its value.
const varint = (n) => (n < 128 ? [n] : [(n % 128) + 128, ...varint(Math.floor(n / 128))]);
const field = (number, kind, ...value) => Buffer.concat([Buffer.from(varint(number * 8 + kind)), ...value]);
const message = (number, body) => field(number, 2, Buffer.from(varint(body.length)), body);
const whole = (number, value) => field(number, 0, Buffer.from(varint(value)));
const float = (value) => { const out = Buffer.alloc(4); out.writeFloatLE(value); return out; };

// SentencePiece's tokenizer.model: pieces, then how they were made (2: BPE) with byte fallback, then the leading space.
function sentencePieceModel(tokens) {
  const normal = 1, unknown = 2, control = 3, byte = 6;
  const names = ['<unk>', '<s>', '</s>'];
  const pieces = tokens.map(({ score, text }, id) => {
    const kind = id === 0 ? unknown : id < 3 ? control : /^<0x[0-9A-F]{2}>$/.test(text) ? byte : normal;
    const piece = names[id] ?? text.replaceAll(' ', '▁');
    return message(1, Buffer.concat([message(1, Buffer.from(piece)), field(2, 5, float(id < 3 ? 0 : score)), whole(3, kind)]));
  });
  const trainer = message(2, Buffer.concat([whole(3, 2), whole(35, 1)]));
  const normalizer = message(3, Buffer.concat([message(1, Buffer.from('identity')), whole(3, 1), whole(4, 0)]));
  return Buffer.concat([...pieces, trainer, normalizer]);
}

process.on('uncaughtException', (error) => {
  console.error(`from_llama2c.mjs: ${error.message}`);
  process.exit(1);
});
const { shape, tensors } = readModel(modelFile);
for (const [name, tensor] of tensors) if (/\.[qk]_proj\./.test(name)) tensors.set(name, intoHalves(tensor, shape.headDim));
fs.mkdirSync(folder, { recursive: true });
const write = (name, value) => fs.writeFileSync(path.join(folder, name), `${JSON.stringify(value, null, 1)}\n`);
writeSafetensors(path.join(folder, 'model.safetensors'), tensors);
fs.writeFileSync(path.join(folder, 'tokenizer.model'), sentencePieceModel(readTokens(tokenizerFile, shape.vocab)));
write('tokenizer_config.json', { bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>', add_bos_token: true, add_eos_token: false });
write('config.json', {
  architectures: ['LlamaForCausalLM'], model_type: 'llama', hidden_act: 'silu', hidden_size: shape.width, intermediate_size: shape.inner,
  num_hidden_layers: shape.layers, num_attention_heads: shape.heads, num_key_value_heads: shape.kvHeads, vocab_size: shape.vocab,
  max_position_embeddings: shape.context, rms_norm_eps: 1e-5, rope_theta: 10000, tie_word_embeddings: shape.tied, bos_token_id: 1,
  eos_token_id: 2, torch_dtype: 'float32',
});
