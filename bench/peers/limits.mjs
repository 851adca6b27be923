// What the machine can do, as `./dev bench kernels` measures it: reading memory, and products of 8-bit and bf16 numbers on
// registers, with so many threads.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

const names = { 'limit read': 'read', 'limit bf16 products': 'bf16', 'limit int8 products': 'int8' };

// GB/s and GOP/s; a name is missing where the bench was not built beside the program, or the machine has no such products.
export function measureLimits(hearth, threads) {
  const bench = path.join(path.dirname(hearth), 'bench_kernels');
  const limits = {};
  if (!fs.existsSync(bench)) return limits;
  const lines = execFileSync(bench, ['limit'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim().split('\n');
  for (const { name, threads: its, rate } of lines.map((line) => JSON.parse(line))) {
    if (its === threads && names[name]) limits[names[name]] = rate;
  }
  return limits;
}
