// An inference deployment as it is used: replicas of the real server with the embedded model, placed by Forge, behind the router; the load
// goes up and down, a replica is killed and another one hangs, and no request fails.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { hearth, House, sleep, until } from './house.mjs';
import { Load } from './load.mjs';

test('a deployment grows with its load, loses a replica, has one that hangs, shrinks again, and no request fails', { timeout: 300000 }, async () => {
  const house = new House();
  const load = new Load('');
  let router;
  try {
    await house.startServer();
    house.startAgent('one', 3);
    const id = await house.submit({
      name: 'ember', type: 'inference', retries: 100, tier: 'premium', stop: { grace_s: 60, cost_s: 0 },
      command: [hearth, '--log-level', 'warn', 'serve', '--host', '127.0.0.1', '--port', '{port}', '--max-num-seqs', '2', '--threads', '1'],
    });
    router = house.start(['forge', 'route', String(id), '--url', house.url, '--token', house.token, '--port', '0', '--max', '3',
      '--requests-each', '2', '--down-after-s', '6', '--restart-after-s', '8'], 'router.log');
    load.url = await until('the router', 20000, () => house.log('router.log').match(/answers at (http:\S+)/)?.[1] ?? null);
    const replicas = async () => (await (await fetch(`${load.url}/replicas`)).json()).replicas;
    const ready = async () => (await replicas()).filter((replica) => replica.ready);
    await until('the first replica', 60000, async () => (await ready()).length === 1);

    load.model = (await (await fetch(`${load.url}/v1/models`)).json()).data[0].id;
    load.set(1);
    await until('some answers', 60000, () => load.done >= 2);
    assert.equal((await ready()).length, 1);

    load.set(10);
    await until('a second replica', 90000, async () => (await ready()).length >= 2);
    const before = load.done;
    await until('answers from both', 60000, () => load.done >= before + 6);

    const victim = (await ready()).at(-1);
    const pids = house.pids((environment) => environment.includes(`HEARTH_JOB=${victim.job}`)).filter(({ words }) => words[0] === hearth && words.includes('serve'));
    assert.equal(pids.length, 1);
    process.kill(pids[0].pid, 'SIGKILL');
    await until('its end to be known', 30000, async () => (await house.job(victim.job)).failures === 1);
    await until('it to be replaced', 90000, async () => (await house.job(victim.job)).state === 'running' && (await ready()).some((replica) => replica.job === victim.job));

    // One that is there and does nothing any more.
    const hangs = (await ready()).at(-1);
    const [{ pid }] = house.pids((environment) => environment.includes(`HEARTH_JOB=${hangs.job}`)).filter(({ words }) => words[0] === hearth && words.includes('serve'));
    const { epoch, failures } = await house.job(hangs.job);
    process.kill(pid, 'SIGSTOP');
    await until('it to be started again', 90000, async () => (await house.job(hangs.job)).epoch > epoch);
    await until('it to be ready again', 90000, async () => (await ready()).some((replica) => replica.job === hangs.job));
    assert.equal((await house.job(hangs.job)).failures, failures + 1);
    assert.throws(() => process.kill(pid, 0), /ESRCH/);

    load.set(1);
    await until('one replica again', 120000, async () => (await house.api('GET', `jobs/${id}/replicas`)).replicas.length === 1);
    const after = load.done;
    await until('it to serve on', 30000, () => load.done >= after + 2);
    load.set(0);
    await until('the last answers', 30000, () => load.running === 0);
    // A stream that had begun on the replica that was killed cannot be saved; everything else is.
    const cut = load.failures.filter((failure) => /terminated|half an answer/.test(failure));
    assert.deepEqual(load.failures.filter((failure) => !cut.includes(failure)), []);
    assert.ok(cut.length <= 4, `${cut.length} streams cut by the kills`);
    assert.match(house.cli('events'), /succeeded|cancelled/);
    console.log(`  ${load.done} answers, ${cut.length} streams cut by kill -9 and by the restart of one that hung`);
  } catch (error) {
    for (const name of ['router.log', 'one.log', 'server.log']) error.message += `\n--- ${name}\n${house.log(name).split('\n').slice(-15).join('\n')}`;
    throw error;
  } finally {
    load.set(0);
    router?.kill('SIGKILL');
    await sleep(100);
    await house.close();
  }
});
