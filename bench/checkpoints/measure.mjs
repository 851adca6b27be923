// A process of SIZE MiB that counts, under the real server and two agents: preempted by a premium job and gone on, on the other node.
// One JSON line a measurement; the seconds are from the premium job's submission until the process has counted on.
//   ./dev bench checkpoints [SIZE_MIB=1024] [TIMES=3]
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { inHouse, until } from '../../tests/forge/house.mjs';

const mib = Number(process.argv[2] ?? 1024);
const times = Number(process.argv[3] ?? 3);

// It fills its memory with `content` and then counts in a file, with the time.
const program = (content) => `
import os, time
size = ${mib} << 20
memory = bytearray(size)
for at in range(0, size, 1 << 20):
    memory[at:at + (1 << 20)] = ${content}
out = open("beats", "w", buffering=1)
for beat in range(10**9):
    memory[(beat * 4096) % size] = beat % 256
    out.write(f"{beat} {time.time()}\\n")
    time.sleep(0.01)
`;
const contents = {
  random: 'os.urandom(1 << 20)',
  'half random, half zero': 'os.urandom(1 << 19) + bytes(1 << 19)',
};

const say = (line) => console.log(JSON.stringify({ bench: 'checkpoints', load: os.loadavg()[0], ...line }));
const beats = (folder) => {
  const file = path.join(folder, 'beats');
  const text = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
  return text.split('\n').filter((line) => /^\d+ [\d.]+$/.test(line)).map((line) => line.split(' ').map(Number));
};

const submit = async (house, content, checkpoint) => {
  const folder = fs.mkdtempSync(path.join(house.dir, 'job-'));
  const id = await house.submit({ command: ['python3', '-c', program(content)], directory: folder, tier: 'basic', checkpoint, stop: { cost_s: 0 } });
  await until('it to count', 120000, () => beats(folder).length > 20);
  return { id, folder };
};
const start = (house) => {
  for (const name of ['one', 'two']) house.startAgent(name, 1, ['--images', path.join(house.dir, 'images')]);
};

async function preempted(content, what) {
  await inHouse([], async (house) => {
    start(house);
    const { id, folder } = await submit(house, content, { by: 'process' });
    for (let time = 0; time < times; ++time) {
      const job = await house.job(id);
      const count = beats(folder).length;
      const begun = Date.now() / 1000;
      house.cli('drain', job.where);
      const back = await until('it to count on', 120000, async () => {
        const now = beats(folder);
        return (await house.job(id)).epoch > job.epoch && now.length > count && gap(now.slice(count - 5)) && now.slice(count - 5);
      });
      const [from, to] = gap(back);
      const image = (await house.job(id)).image;
      house.cli('resume', job.where);
      say({ what, memory_mib: mib, seconds: to - begun, stood_still_s: to - from, image_mib: image.bytes / 2 ** 20, stored_mib: stored(house) });
    }
    house.cli('cancel', String(id));
  });
}

// The longest time between two beats: when it did not run.
function gap(lines) {
  let longest = [0, 0];
  for (let i = 1; i < lines.length; ++i) {
    if (lines[i][1] - lines[i - 1][1] > longest[1] - longest[0]) longest = [lines[i - 1][1], lines[i][1]];
  }
  return longest[1] - longest[0] > 0.3 ? longest : null;
}

function stored(house) {
  const folder = path.join(house.dir, 'images');
  const sizes = fs.readdirSync(folder, { recursive: true }).map((name) => fs.statSync(path.join(folder, name))).filter((file) => file.isFile());
  return sizes.reduce((sum, file) => sum + file.size, 0) / 2 ** 20;
}

for (const [what, content] of Object.entries(contents)) await preempted(content, what);
