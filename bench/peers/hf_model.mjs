// A trained Llama-family model in a Hugging Face folder, written as GGUF for llama.cpp: the same weights in the same type,
// so that the greedy tokens of both can be compared. Only token ids cross over; the vocabulary in the file is a stand-in.
import fs from 'node:fs';
import path from 'node:path';

import { GgufWriter } from './gguf.mjs';
import { permuteRows, vocabulary } from './random_model.mjs';

function readSafetensors(file) {
  const bytes = fs.readFileSync(file);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length));
  delete header.__metadata__;
  return (name) => {
    if (!header[name]) return null;
    const { dtype, shape, data_offsets: [begin, end] } = header[name];
    const slice = bytes.subarray(8 + length + begin, 8 + length + end);
    const copy = slice.buffer.slice(slice.byteOffset, slice.byteOffset + slice.byteLength);
    return { dims: shape, type: { BF16: 'bf16', F32: 'f32', F16: 'f16' }[dtype], data: dtype === 'F32' ? new Float32Array(copy) : new Uint16Array(copy) };
  };
}

function toFloats({ type, data }) {
  if (type === 'f32') return data;
  if (type !== 'bf16') throw new Error(`vectors of type ${type} are not handled`);
  const bits = new Uint32Array(data.length);
  for (let i = 0; i < data.length; ++i) bits[i] = data[i] << 16;
  return new Float32Array(bits.buffer);
}

const layerTensors = [
  ['input_layernorm', 'attn_norm'], ['self_attn.q_proj', 'attn_q', 'heads'], ['self_attn.k_proj', 'attn_k', 'kvHeads'],
  ['self_attn.v_proj', 'attn_v'], ['self_attn.o_proj', 'attn_output'], ['post_attention_layernorm', 'ffn_norm'],
  ['mlp.gate_proj', 'ffn_gate'], ['mlp.up_proj', 'ffn_up'], ['mlp.down_proj', 'ffn_down'],
];

export function hfModel(dir, root) {
  const config = JSON.parse(fs.readFileSync(path.join(dir, 'config.json'), 'utf8'));
  if (config.model_type !== 'llama') throw new Error(`${dir}: only Llama models are converted, this is '${config.model_type}'`);
  const tensor = readSafetensors(path.join(dir, 'model.safetensors'));
  const heads = config.num_attention_heads;
  const counts = { heads, kvHeads: config.num_key_value_heads ?? heads };
  const headDim = config.head_dim ?? config.hidden_size / heads;
  const gguf = new GgufWriter();
  gguf.string('general.architecture', 'llama').string('general.name', path.basename(dir));
  gguf.u32('llama.context_length', config.max_position_embeddings).u32('llama.embedding_length', config.hidden_size);
  gguf.u32('llama.block_count', config.num_hidden_layers).u32('llama.feed_forward_length', config.intermediate_size);
  gguf.u32('llama.attention.head_count', heads).u32('llama.attention.head_count_kv', counts.kvHeads);
  gguf.u32('llama.attention.key_length', headDim).u32('llama.attention.value_length', headDim);
  gguf.f32('llama.attention.layer_norm_rms_epsilon', config.rms_norm_eps);
  gguf.f32('llama.rope.freq_base', config.rope_theta ?? config.rope_parameters?.rope_theta ?? 10000);
  gguf.u32('llama.rope.dimension_count', headDim).u32('llama.vocab_size', config.vocab_size);
  const { tokens, merges } = vocabulary(config.vocab_size);
  gguf.string('tokenizer.ggml.model', 'gpt2').string('tokenizer.ggml.pre', 'gpt-2');
  gguf.strings('tokenizer.ggml.tokens', tokens);
  gguf.i32s('tokenizer.ggml.token_type', tokens.map(() => 1));
  gguf.strings('tokenizer.ggml.merges', merges.map(([left, right]) => `${left} ${right}`));
  gguf.u32('tokenizer.ggml.bos_token_id', config.vocab_size - 2).u32('tokenizer.ggml.eos_token_id', config.vocab_size - 1);
  gguf.bool('tokenizer.ggml.add_bos_token', false);

  let parameters = 0;
  const put = (name, ggufName, permute) => {
    const found = tensor(`${name}.weight`);
    if (!found) return false;
    parameters += found.data.length;
    if (found.dims.length === 1) gguf.tensor(`${ggufName}.weight`, found.dims, 'f32', () => toFloats(found));
    else gguf.tensor(`${ggufName}.weight`, found.dims, found.type, () => (permute ? permuteRows(found.data, counts[permute], found.dims) : found.data));
    return true;
  };
  put('model.embed_tokens', 'token_embd');
  for (let i = 0; i < config.num_hidden_layers; ++i) {
    for (const [hf, ours, permute] of layerTensors) put(`model.layers.${i}.${hf}`, `blk.${i}.${ours}`, permute);
  }
  put('model.norm', 'output_norm');
  put('lm_head', 'output');
  fs.mkdirSync(root, { recursive: true });
  const file = path.join(root, `${path.basename(dir)}.gguf`);
  gguf.write(file);
  return { dir, gguf: file, vocab: config.vocab_size, parameters, context: config.max_position_embeddings };
}
