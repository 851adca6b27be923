// An inference deployment below several servers: the one that decides is killed and put to sleep while clients ask, and none of them
// notices.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { findEtcd, inCouncil } from './etcd.mjs';
import { hearth, noProcessesSaved, sleep, until } from './house.mjs';
import { Load } from './load.mjs';

const { program, why } = findEtcd(process.env.HEARTH_SLOW !== undefined);
if (why) console.log(`  skipped: ${why}`);

test('servers are killed and put to sleep while a deployment serves and scales: no request fails', { skip: why ?? false, timeout: 300000 }, () =>
  inCouncil({ program, servers: 2, flags: ['--lease-ms', '24000', '--etcd-lease-s', '3'] }, async (council) => {
    // Another deployment may be tried on this machine: the first job of every Forge has the same port.
    council.startAgent('one', 2, [...noProcessesSaved, '--address', '127.0.0.2']);
    const id = await council.submit({
      name: 'ember', type: 'inference', retries: 100, stop: { grace_s: 60, cost_s: 0 },
      command: [hearth, '--log-level', 'warn', 'serve', '--host', '127.0.0.2', '--port', '{port}', '--max-num-seqs', '2', '--threads', '1'],
    });
    const router = council.start(['forge', 'route', String(id), '--url', council.url, '--token', council.token, '--port', '0', '--max', '2',
      '--requests-each', '2', '--down-after-s', '600'], 'router.log');
    const load = new Load(await until('the router', 30000, () => council.log('router.log').match(/answers at (http:\S+)/)?.[1] ?? null));
    try {
      const ready = async () => (await (await fetch(`${load.url}/replicas`)).json()).replicas.filter((replica) => replica.ready);
      await until('the first replica', 60000, async () => (await ready()).length === 1);
      load.model = (await (await fetch(`${load.url}/v1/models`)).json()).data[0].id;
      load.set(2);
      await until('some answers', 60000, () => load.done >= 4);

      const first = await council.leader();
      council.servers.get(first).child.kill('SIGKILL');
      const killed = load.done;
      await until('another server to decide', 20000, async () => { const leader = await council.leader(); return leader && leader !== first; });
      await until('answers meanwhile', 30000, () => load.done > killed);
      await council.startOne(first);

      // The router finds the new one: it can still ask for more.
      load.set(8);
      await until('a second replica', 150000, async () => (await ready()).length === 2);

      const second = await council.leader();
      const { child } = council.servers.get(second);
      child.kill('SIGSTOP');
      const asleep = load.done;
      await until('the other server to decide', 20000, async () => { const leader = await council.leader(); return leader && leader !== second; });
      await until('answers meanwhile', 60000, () => load.done > asleep + 2);
      await sleep(4000);  // longer than a lease of etcd
      child.kill('SIGCONT');
      await until('answers after that', 60000, () => load.done > asleep + 8);

      load.set(0);
      await until('the last answers', 60000, () => load.running === 0);
      assert.deepEqual(load.failures, []);
      const jobs = (await council.api('GET', `jobs/${id}/replicas`)).replicas;
      assert.deepEqual(jobs.map(({ state, epoch }) => [state, epoch]), [['running', 1], ['running', 1]], 'no replica was started again');
      console.log(`  ${load.done} answers while the server that decides was killed and put to sleep`);
    } finally {
      load.set(0);
      router.kill('SIGKILL');
    }
  }));
