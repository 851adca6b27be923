// Servers over an etcd that lets nobody in without a certificate and a password.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import { findEtcd, inCouncil } from './etcd.mjs';
import { hearth, until } from './house.mjs';

const { program, why } = findEtcd(process.env.HEARTH_SLOW !== undefined);
if (why) console.log(`  skipped: ${why}`);
const skip = why ?? false;
// A password takes etcd some time to check, on purpose.
const flags = ['--lease-ms', '24000', '--etcd-lease-s', '5'];

test('etcd with certificates and passwords: servers work as ever, also when it forgets who they are; a wrong word is named', { skip }, () =>
  inCouncil({ program, servers: 2, flags, password: 'a word, and more' }, async (council) => {
    council.startAgent('one', 1);
    const id = await council.submit({ command: council.counter(80, 0.1), retries: 100 });
    await until('it to run', 20000, async () => (await council.job(id)).state === 'running');
    // What etcd gave them is good for its life only.
    council.etcd.kill('etcd0');
    council.etcd.startMember('etcd0');
    await until('etcd to be back', 20000, async () => (await council.etcd.health()) === 1);
    const extra = await council.submit({ command: ['true'] });
    const first = await until('a server to decide', 20000, () => council.leader());
    council.servers.get(first).child.kill('SIGKILL');
    await until('the other one', 20000, async () => { const leader = await council.leader(); return leader && leader !== first; });
    assert.equal((await council.over(id, 60000)).state, 'succeeded');
    assert.equal((await council.over(extra, 60000)).state, 'succeeded');
    assert.deepEqual(council.state(id, 'epochs'), ['1'], 'the worker ran on');

    const started = (change) => spawnSync(hearth, ['forge', 'server', '--data', path.join(council.dir, 'other'), '--port', '0', ...change(council.etcd.flags)],
      { encoding: 'utf8', timeout: 30000 }).stderr;
    const without = (...names) => (words) => words.filter((word, i) => !names.includes(word) && !names.includes(words[i - 1]));
    fs.writeFileSync(path.join(council.dir, 'wrong'), 'another word\n');
    assert.match(started((words) => words.map((word) => word.replace(/password$/, 'wrong'))), /authentication failed.*correct --etcd-user or what is in --etcd-password-file/);
    assert.match(started(without('--etcd-user', '--etcd-password-file')), /it wants a user: --etcd-user and --etcd-password-file/);
    assert.match(started(without('--etcd-user')), /--etcd-user: expected a user and a file with its password/);
    assert.match(started(without('--etcd-cert', '--etcd-key')), /no etcd answers \(.*https:.*\)/);
    assert.match(started(without('--etcd-ca')), /no etcd answers \(.*certificate verify failed.*\)/);
    assert.match(started((words) => words.map((word) => word.replace(/forge\.key$/, 'member.key'))), /member\.key: expected the key of .*forge\.pem/);
  }));
