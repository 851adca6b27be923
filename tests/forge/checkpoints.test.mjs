// Programs that know nothing of it, written down by CRIU and brought back on another node. What a job leaves in the end is compared with
// what it leaves undisturbed.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';

import { hearth, inHouse, sleep, until } from './house.mjs';

const slow = process.env.HEARTH_SLOW !== undefined;
const probe = spawnSync(hearth, ['--log-level', 'error', 'forge', 'probe'], { encoding: 'utf8' });
const skip = probe.status !== 0 && probe.stdout.trim();
console.log(`  checkpoints: ${probe.stdout.trim()}`);

// Programs that know nothing of Forge: what they print and the file they write depend on every step before. At three quarters they
// wait for a file `go` in their folder, so that however slow the machine is, they are in the middle when they are preempted.
const interpreter = (steps) => `
import os, threading, time
out = open("out.txt", "w")
state, table = 1, {}
turns = []
thread = threading.Thread(target=lambda: [turns.append(i) or time.sleep(0.01) for i in range(${steps})])
thread.start()
for step in range(${steps}):
    while step == ${steps} * 3 // 4 and not os.path.exists("go"):
        time.sleep(0.02)
    for _ in range(2000):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        table[state % 50000] = state
    print(step, state, flush=True)
    out.write(f"{step} {sum(table.values()) % 1000003}\\n")
    out.flush()
    time.sleep(0.02)
thread.join()
print("turns", len(turns), sum(turns))
`;
const tree = (steps) => `
awk 'BEGIN { for (i = 1; i <= ${steps}; ++i) {
  if (i == int(${steps} * 3 / 4)) while (system("test -e go") != 0) system("sleep 0.02")
  x = (x * 1103515245 + 12345) % 2147483648; print x; fflush(); system("sleep 0.02") } }' |
while read -r x; do n=$((n + 1)) s=$(((s * 31 + x) % 1000000007)); echo "$n $s"; done |
tee out.txt
wait
echo the end
`;
const letGo = (folder) => fs.writeFileSync(path.join(folder, 'go'), '');

// What a command prints, and its out.txt, when nobody disturbs it.
function undisturbed(house, command) {
  const folder = fs.mkdtempSync(path.join(house.dir, 'plain-'));
  letGo(folder);
  const printed = execFileSync(command[0], command.slice(1), { cwd: folder, encoding: 'utf8' });
  return { printed, written: fs.readFileSync(path.join(folder, 'out.txt'), 'utf8') };
}

const images = (house) => ['--images', path.join(house.dir, 'images')];
const printed = (house, id) => house.cli('logs', String(id));
const written = (folder) => (fs.existsSync(path.join(folder, 'out.txt')) ? fs.readFileSync(path.join(folder, 'out.txt'), 'utf8') : '');
const lines = (text) => text.split('\n').length - 1;

function submitProgram(house, command, changes = {}) {
  const folder = fs.mkdtempSync(path.join(house.dir, 'job-'));
  const job = { command, directory: folder, tier: 'basic', checkpoint: { by: 'process' }, stop: { grace_s: 1, cost_s: 0 }, ...changes };
  return house.submit(job).then((id) => ({ id, folder }));
}

async function preemptedAndMoved(house, command) {
  const plain = undisturbed(house, command);
  house.startAgent('one', 1, images(house));
  const { id, folder } = await submitProgram(house, command);
  await until('some output', 30000, () => lines(written(folder)) >= 10);
  const premium = await house.submit({ command: ['sleep', '600'], tier: 'premium' });
  await until('the premium job to run', 60000, async () => (await house.job(premium)).state === 'running');
  const waiting = await house.job(id);
  assert.equal(waiting.state, 'queued', printed(house, id) + house.cli('events', String(id)));
  assert.ok(waiting.image.bytes > 0, 'the server knows of its image');
  const before = lines(written(folder));
  assert.ok(before < lines(plain.written), 'it was preempted in the middle');
  await sleep(300);
  assert.equal(lines(written(folder)), before, 'nothing of it runs while it waits');
  house.startAgent('two', 1, images(house));
  await until('it to go on elsewhere', 60000, async () => (await house.job(id)).where === 'two');
  letGo(folder);
  const job = await house.over(id, 120000);
  assert.equal(job.state, 'succeeded', printed(house, id));
  assert.equal(job.starts, 2);
  assert.equal(written(folder), plain.written);
  await until('its whole log', 10000, () => printed(house, id) === plain.printed).catch(() => assert.equal(printed(house, id), plain.printed));
  assert.match(house.cli('events', String(id)), /ended on one: saved/);
}

test('a program that knows nothing of it is preempted and goes on, on another node, as if nothing had been', { skip },
  () => inHouse([], (house) => preemptedAndMoved(house, ['python3', '-c', interpreter(100)])));

test('so is a tree of processes with pipes between them', { skip },
  () => inHouse([], (house) => preemptedAndMoved(house, ['bash', '-c', tree(80)])));

test('images made on the way: agent and keeper killed, it goes on from the last one, on any node', { skip }, () => inHouse(['--lease-ms', '3000'], async (house) => {
  const command = ['python3', '-c', interpreter(slow ? 600 : 100)];
  const plain = undisturbed(house, command);
  for (const name of ['one', 'two']) house.startAgent(name, 1, images(house));
  const { id, folder } = await submitProgram(house, command, { checkpoint: { by: 'process', every_s: 0.5 }, retries: 100 });
  for (let death = 0; death < (slow ? 5 : 2); ++death) {
    const known = (await house.job(id)).image?.epoch ?? 0;
    await until('an image of this epoch', 60000, async () => ((await house.job(id)).image?.epoch ?? 0) > known);
    await until('some output', 20000, () => lines(written(folder)) >= 10);
    const { where } = await house.job(id);
    // While it makes an image it has children of the same name.
    const keepers = await until('its keeper alone', 20000, () => { const found = house.processes(/^keeper$/); return found.length === 1 && found; });
    process.kill(keepers[0], 'SIGKILL');
    if (death % 2 === 1) {
      house.agents.get(where).child.kill('SIGKILL');
      house.startAgent(where, 1, images(house));
    }
    await until('all of it to be dead', 5000, () => house.inFolder(folder).length === 0);
  }
  letGo(folder);
  const job = await house.over(id, 180000);
  assert.equal(job.state, 'succeeded', printed(house, id));
  assert.equal(written(folder), plain.written);
}));

test('an image that a loss of power has damaged: it goes on from the one before', { skip }, () => inHouse([], async (house) => {
  const command = ['python3', '-c', interpreter(100)];
  const plain = undisturbed(house, command);
  house.startAgent('one', 1, images(house));
  const { id, folder } = await submitProgram(house, command, { checkpoint: { by: 'process', every_s: 0.5 } });
  await until('an image on the way', 60000, async () => (await house.job(id)).image?.number >= 2);
  house.cli('drain', 'one');
  await until('it to wait', 60000, async () => (await house.job(id)).state === 'queued');
  assert.match(house.cli('events', String(id)), /ended on one: saved/);
  const { image } = await house.job(id);
  const pack = path.join(house.dir, 'images', String(id), `${image.epoch}.${image.number}.pack`);
  const bytes = fs.readFileSync(pack);
  assert.ok(bytes.length > 0, 'the last image has chunks of its own');
  fs.writeFileSync(pack, Buffer.alloc(bytes.length));
  house.cli('resume', 'one');
  letGo(folder);
  const job = await house.over(id, 120000);
  assert.equal(job.state, 'succeeded', printed(house, id));
  assert.equal(written(folder), plain.written);
  await until('a word in its log', 10000, () => new RegExp(`its image ${image.epoch}\\.${image.number} is damaged, it goes on from ${image.epoch}\\.${image.number - 1}: `).test(printed(house, id)));
}));

test('what its images took stands in the log of the agents', { skip }, () => inHouse([], async (house) => {
  for (const name of ['one', 'two']) house.startAgent(name, 1, images(house));
  const { id, folder } = await submitProgram(house, ['bash', '-c', 'echo x >out.txt; sleep 600']);
  await until('it to run', 30000, () => written(folder) !== '');
  const { where } = await house.job(id);
  house.cli('drain', where);
  await until('it to run elsewhere', 60000, async () => { const job = await house.job(id); return job.state === 'running' && job.where !== where; });
  assert.match(house.log(`${where}.log`), new RegExp(`job=${id} epoch=1 image=1\\.1 began=[\\d.]+ dump_s=[\\d.]+ pack_s=[\\d.]+ disk_s=0\\.000 bytes=\\d+`), 'nobody waited for the disk');
  await until('the rest', 20000, () => /restore=1\.1 began=[\d.]+ unpack_s=[\d.]+[\s\S]* restored at=/.test(house.log(`${where === 'one' ? 'two' : 'one'}.log`)));
  house.cli('cancel', String(id));
}));

test('an open connection is a reason not to be saved, unless the job says that it may be closed', { skip }, () => inHouse([], async (house) => {
  const server = net.createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1');
  try {
    await until('the listener', 5000, () => server.address());
    const program = `
import socket, time
peer = socket.create_connection(("127.0.0.1", ${server.address().port}))
print("connected", flush=True)
open("out.txt", "w").write("x\\n")
try:
    word = peer.recv(10)
except OSError as error:
    word = error
print("closed", word, flush=True)
`;
    house.startAgent('one', 1, images(house));
    const refused = await submitProgram(house, ['python3', '-c', program]);
    await until('it to connect', 20000, () => written(refused.folder) !== '');
    const premium = await house.submit({ command: ['sleep', '0.2'], tier: 'premium' });
    await house.over(premium);
    await until('a word of why', 10000, () => /could not be saved: .*open TCP connection.*connections = "close"/.test(house.cli('logs', String(refused.id))));
    assert.match(house.cli('events', String(refused.id)), /ended on one: killed/);
    house.cli('cancel', String(refused.id));
    const closed = await submitProgram(house, ['python3', '-c', program], { checkpoint: { by: 'process', connections: 'close' } });
    await until('it to connect', 20000, () => written(closed.folder) !== '');
    await house.over(await house.submit({ command: ['sleep', '0.2'], tier: 'premium' }));
    const job = await house.over(closed.id);
    assert.equal(job.state, 'succeeded', printed(house, closed.id));
    await until('its last words', 10000, () => /^connected\nclosed /.test(printed(house, closed.id)));
  } finally {
    server.close();
  }
}));

test('what cannot be saved is refused in words', () => inHouse([], async (house) => {
  house.startAgent('one', 2, ['--criu', '/no/such/criu', ...images(house)]);
  await assert.rejects(house.submit({ command: ['true'], checkpoint: { by: 'magic' } }), /no 'magic'; take one of: library, process, none/);
  await assert.rejects(house.submit({ command: ['true'], checkpoint: { by: 'process' }, workers: { min: 1, max: 2 } }), /needs one process of a fixed size/);
  await assert.rejects(house.submit({ command: ['true'], checkpoint: { every_s: 5 } }), /only with by = "process"/);
  const id = await house.submit({ command: ['true'], checkpoint: { by: 'process' }, retries: 0 });
  assert.equal((await house.over(id)).state, 'failed');
  await until('its log', 10000, () => /processes cannot be saved: /.test(house.cli('logs', String(id))));
}));
