// Several servers with a real etcd: one decides, and is killed or put to sleep while jobs run; another goes on.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import { findEtcd, inCouncil } from './etcd.mjs';
import { hearth, sleep, until } from './house.mjs';

const { program, why } = findEtcd(process.env.HEARTH_SLOW !== undefined);
if (why) console.log(`  skipped: ${why}`);
const skip = why ?? false;
const flags = ['--lease-ms', '24000', '--etcd-lease-s', '3'];

test('three servers: any is asked, one decides; when it is killed another goes on, and the workers never notice', { skip }, () =>
  inCouncil({ program, flags }, async (council) => {
    council.startAgent('one', 2);
    fs.writeFileSync(path.join(council.dir, 'job.toml'), `name = "counted"\nretries = 100\ncommand = ${JSON.stringify(council.counter(150, 0.1))}\n`);
    assert.match(council.cli('submit', path.join(council.dir, 'job.toml')), /^job 0 \(counted\)/);
    await until('it to run', 20000, async () => (await council.job(0)).state === 'running');

    const first = await council.leader();
    const follower = [...council.servers.keys()].find((name) => name !== first);
    const answer = await council.ask(council.servers.get(follower).url, 'GET', 'jobs/0');
    assert.equal(answer.status, 307);
    assert.equal(answer.headers.get('Location'), `${council.servers.get(first).url}/v1/forge/jobs/0`);
    const page = await fetch(`${council.servers.get(follower).url}/`, { redirect: 'manual' });
    assert.equal(page.headers.get('Location'), `${council.servers.get(first).url}/`);
    const tokens = [...council.servers.keys()].map((name) => fs.readFileSync(path.join(council.dir, name, 'forge.token'), 'utf8').trim());
    assert.equal(new Set(tokens).size, 1, 'they share a token');

    const killed = Date.now();
    council.servers.get(first).child.kill('SIGKILL');
    const second = await until('another server to decide', 20000, () => council.leader());
    const took = Date.now() - killed;
    assert.notEqual(second, first);
    assert.match(council.cli('ps'), /0 counted +running/);
    const extra = await council.submit({ command: ['true'] });
    assert.equal(extra, 1, 'numbers go on');
    assert.equal((await council.over(extra)).state, 'succeeded');

    await council.startOne(first);
    const over = await council.over(0, 60000);
    assert.equal(over.state, 'succeeded');
    assert.deepEqual(council.state(0, 'epochs'), ['1'], 'the worker ran on');
    const log = await until('its whole log', 10000, () => {
      const text = council.cli('logs', '0');
      return text.includes('step 150') ? text : null;
    });
    assert.equal([...log.matchAll(/^step /gm)].length, 150);
    assert.match(council.cli('events'), /job 0 \(counted\) was submitted[^]*job 1 /);
    assert.equal(council.violations(), '');

    const stopped = Date.now();
    council.servers.get(second).child.kill('SIGTERM');
    await until('a third to decide at once', 5000, async () => {
      const leader = await council.leader();
      return leader && leader !== second;
    });
    assert.match(council.cli('ps', '--all'), /0 counted +succeeded/);
    console.log(`  another server decided ${took} ms after kill -9 (lease 3 s), ${Date.now() - stopped} ms after SIGTERM`);
  }));

test('a server that sleeps past its lease answers nobody when it wakes, and the workers never notice', { skip }, () =>
  inCouncil({ program, servers: 2, flags }, async (council) => {
    council.startAgent('one', 1);
    const id = await council.submit({ command: council.counter(140, 0.1), retries: 100 });
    await until('it to run', 20000, async () => (await council.job(id)).state === 'running');
    const first = await council.leader();
    const { child, url } = council.servers.get(first);
    const follows = council.start(['--log-level', 'warn', 'forge', 'events', '-f', '--url', council.url, '--token', council.token], 'events.log');
    await until('the past', 10000, () => /job 0 .*was submitted/.test(council.log('events.log')));
    child.kill('SIGSTOP');
    // What it had begun to answer may still arrive.
    const second = await until('the other server to decide', 20000, async () => { const leader = await council.leader(); return leader !== first && leader; });
    // Whoever follows the events at the sleeper goes on at the other one, and misses nothing.
    const extra = await council.submit({ name: 'extra', command: ['true'] });
    await until('the events to go on', 20000, () => new RegExp(`job ${extra} \\(extra\\) was submitted`).test(council.log('events.log')));
    follows.kill('SIGKILL');
    // It is in the sleeper's hands before it wakes.
    const asked = council.ask(url, 'GET', 'state');
    await sleep(200);
    child.kill('SIGCONT');
    const answer = await asked;
    assert.ok(answer.status === 307 || answer.status === 503, `it answered ${answer.status}`);
    await until('it to say that it does not decide', 5000, () => /decides no longer/.test(council.log(`${first}.log`)));
    await until('it to send on', 5000, async () => (await council.ask(url, 'GET', 'state')).headers.get('Forge-Leader') === council.servers.get(second).url);
    assert.equal((await council.over(id, 90000)).state, 'succeeded');
    assert.deepEqual(council.state(id, 'epochs'), ['1'], 'the worker ran on');
    assert.equal(council.violations(), '');
  }));

test('without an etcd the server says which address it tried and what to do', () => {
  const data = fs.mkdtempSync(path.join(os.tmpdir(), 'hearth-forge-'));
  const run = (...words) => spawnSync(hearth, ['forge', 'server', '--data', data, '--port', '0', ...words], { encoding: 'utf8', timeout: 20000 });
  const absent = run('--etcd', 'http://127.0.0.1:1,http://127.0.0.1:2');
  assert.notEqual(absent.status, 0);
  assert.match(absent.stderr, /http:\/\/127\.0\.0\.1:1,http:\/\/127\.0\.0\.1:2: no etcd answers \(.*\); start it, or correct --etcd/);
  const wrong = run('--etcd', '127.0.0.1:2379');
  assert.match(wrong.stderr, /does not start with http/);
  const short = run('--etcd', 'http://127.0.0.1:1', '--lease-ms', '8000');
  assert.match(short.stderr, /--etcd-lease-s: expected at most a quarter of --lease-ms/);
  fs.rmSync(data, { recursive: true });
});
