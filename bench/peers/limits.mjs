// What the machine can do, as `hearth bench kernels` measures it: reading memory, and products of 8-bit and bf16 numbers on
// registers, with so many threads.
import { execFileSync } from 'node:child_process';

const names = { 'limit read': 'read', 'limit bf16 products': 'bf16', 'limit int8 products': 'int8' };

// GB/s and GOP/s; a name is missing where the machine has no such products.
export function measureLimits(hearth, threads) {
  const limits = {};
  const output = execFileSync(hearth, ['bench', 'kernels', 'limit', '--threads', threads, '--json'], { encoding: 'utf8' });
  for (const { name, rate } of output.trim().split('\n').map((line) => JSON.parse(line))) {
    if (names[name]) limits[names[name]] = rate;
  }
  return limits;
}
