// A process of SIZE MiB that counts, under the real server and two agents: its node is drained and it goes on, on the other one.
// One JSON line a measurement. `seconds` are from the order until the process has counted on, and the others their parts, in order:
//
//   asked_s      until its keeper begins to save it
//   dump_s       CRIU writes it to memory; it stands still from here on
//   pack_s       cut, hashed, packed, handed over to the system
//   hand_over_s  its processes killed, their end told, the next node chosen, a keeper started there
//   unpack_s     read, checked, written to memory
//   criu_s       CRIU brings it back
//   first_s      until it has counted
//
// disk_s is what the disk of this machine takes for what was stored, measured by itself beside the others, with the disk at rest: nobody waits for it, but
// where the system's memory for unwritten pages is full everybody does.
import crypto from 'node:crypto';
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
const random = 'os.urandom(1 << 20)';
const half = 'os.urandom(1 << 19) + bytes(1 << 19)';
const cases = [
  { what: 'random', content: random },
  { what: 'half random, half zero', content: half },
  { what: 'random, an image before', content: random, every_s: 30 },
];

const rounded = (value) => (typeof value === 'number' ? Math.round(value * 1000) / 1000 : value);
const say = (line) => console.log(JSON.stringify(Object.fromEntries(Object.entries({ bench: 'checkpoints', load: os.loadavg()[0], ...line }).map(([key, value]) => [key, rounded(value)]))));

// MiB/s of the disk under `folder`, forced.
function diskSpeed(folder) {
  const file = path.join(folder, 'disk-speed'), part = crypto.randomBytes(16 << 20), parts = 16;
  const fd = fs.openSync(file, 'w');
  const begun = performance.now();
  for (let i = 0; i < parts; ++i) fs.writeSync(fd, part);
  fs.fsyncSync(fd);
  const seconds = (performance.now() - begun) / 1000;
  fs.closeSync(fd);
  fs.rmSync(file);
  return (parts * 16) / seconds;
}

const beats = (folder) => {
  const file = path.join(folder, 'beats');
  const text = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
  return text.split('\n').filter((line) => /^\d+ [\d.]+$/.test(line)).map((line) => line.split(' ').map(Number));
};

const submit = async (house, { content, every_s }) => {
  const folder = fs.mkdtempSync(path.join(house.dir, 'job-'));
  const checkpoint = { by: 'process', ...(every_s && { every_s }) };
  const id = await house.submit({ command: ['python3', '-c', program(content)], directory: folder, tier: 'basic', checkpoint, stop: { cost_s: 0 } });
  await until('it to count', 120000, () => beats(folder).length > 20);
  return { id, folder };
};
const start = (house) => {
  for (const name of ['one', 'two']) house.startAgent(name, 1, ['--images', path.join(house.dir, 'images')]);
};

// What the agents' logs say of images since a moment: { 'image=2.1': {...}, ... } as fields by kind.
function told(house, since) {
  const out = { images: [], restores: [], restored: [] };
  for (const name of ['one.log', 'two.log']) {
    for (const line of house.log(name).split('\n')) {
      const fields = Object.fromEntries([...line.matchAll(/(\w+)=([\d.]+)/g)].map(([, key, value]) => [key, Number(value)]));
      if ('dump_s' in fields && fields.began >= since) out.images.push(fields);
      if ('unpack_s' in fields && fields.began >= since) out.restores.push(fields);
      if (/ restored at=/.test(line) && fields.at >= since) out.restored.push(fields);
    }
  }
  return out;
}

async function moved(one) {
  await inHouse([], async (house) => {
    start(house);
    const { id, folder } = await submit(house, one);
    for (let time = 0; time < times; ++time) {
      const before = (await house.job(id)).epoch;
      if (one.every_s) await until('an image of this epoch', 120000, async () => (await house.job(id)).image?.epoch === before);
      const disk = diskSpeed(house.dir);
      const job = await house.job(id);
      const count = beats(folder).length;
      const begun = Date.now() / 1000;
      house.cli('drain', job.where);
      const back = await until('it to count on', 120000, async () => {
        const now = beats(folder);
        return (await house.job(id)).epoch > job.epoch && now.length > count && gap(now.slice(count - 5)) && now.slice(count - 5);
      });
      const [from, to] = gap(back);
      const parts = await until('the agents\' words', 20000, () => {
        const all = told(house, begun);
        return all.images.length > 0 && all.restores.length > 0 && all.restored.length > 0 && { image: all.images[0], restore: all.restores[0], restored: all.restored[0] };
      });
      house.cli('resume', job.where);
      const { image, restore, restored } = parts;
      const storedMib = image.stored / 2 ** 20;
      say({
        what: one.what, memory_mib: mib, seconds: to - begun, stood_still_s: to - from,
        asked_s: image.began - begun, dump_s: image.dump_s, pack_s: image.pack_s, hand_over_s: restore.began - image.began - image.dump_s - image.pack_s,
        unpack_s: restore.unpack_s, criu_s: restored.at - restore.began - restore.unpack_s, first_s: to - restored.at,
        image_mib: image.bytes / 2 ** 20, fresh_mib: image.fresh / 2 ** 20, stored_mib: storedMib, disk_mib_per_s: disk, disk_s: storedMib / disk,
      });
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

for (const one of cases) await moved(one);
