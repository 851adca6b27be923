// Writes GGUF version 3: header, typed key-value pairs, tensor table, aligned data.
import fs from 'node:fs';

import { writeAll } from './random_model.mjs';

const types = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 };
const tensorTypes = { f32: 0, f16: 1, bf16: 30 };
const alignment = 32;

const u32 = (value) => { const b = Buffer.alloc(4); b.writeUInt32LE(value); return b; };
const i32 = (value) => { const b = Buffer.alloc(4); b.writeInt32LE(value); return b; };
const f32 = (value) => { const b = Buffer.alloc(4); b.writeFloatLE(value); return b; };
const u64 = (value) => { const b = Buffer.alloc(8); b.writeBigUInt64LE(BigInt(value)); return b; };
const text = (value) => { const b = Buffer.from(value); return Buffer.concat([u64(b.length), b]); };
const padding = (size) => (alignment - (size % alignment)) % alignment;

export class GgufWriter {
  pairs = [];
  tensors = [];

  put(key, type, payload) {
    this.pairs.push(Buffer.concat([text(key), u32(types[type]), payload]));
    return this;
  }
  u32(key, value) { return this.put(key, 'u32', u32(value)); }
  f32(key, value) { return this.put(key, 'f32', f32(value)); }
  bool(key, value) { return this.put(key, 'bool', Buffer.from([value ? 1 : 0])); }
  string(key, value) { return this.put(key, 'string', text(value)); }
  strings(key, values) { return this.put(key, 'array', Buffer.concat([u32(types.string), u64(values.length), ...values.map(text)])); }
  i32s(key, values) { return this.put(key, 'array', Buffer.concat([u32(types.i32), u64(values.length), ...values.map(i32)])); }

  // dims outermost first; data() gives the typed array when it is written.
  tensor(name, dims, type, data) {
    const elements = dims.reduce((product, dim) => product * dim, 1);
    this.tensors.push({ name, dims, type, data, bytes: elements * (type === 'f32' ? 4 : 2) });
    return this;
  }

  write(file) {
    let offset = 0;
    const table = this.tensors.map((tensor) => {
      const entry = Buffer.concat([
        text(tensor.name), u32(tensor.dims.length), ...[...tensor.dims].reverse().map(u64), u32(tensorTypes[tensor.type]), u64(offset),
      ]);
      offset += tensor.bytes + padding(tensor.bytes);
      return entry;
    });
    const head = Buffer.concat([Buffer.from('GGUF'), u32(3), u64(this.tensors.length), u64(this.pairs.length), ...this.pairs, ...table]);
    const out = fs.openSync(file, 'w');
    writeAll(out, head);
    writeAll(out, Buffer.alloc(padding(head.length)));
    for (const tensor of this.tensors) {
      writeAll(out, tensor.data());
      writeAll(out, Buffer.alloc(padding(tensor.bytes)));
    }
    fs.closeSync(out);
  }
}
