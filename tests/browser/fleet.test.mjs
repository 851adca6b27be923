// The page of a Forge server, with real jobs on a fleet of one machine.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { openBrowser, overflow, picture, visitAs } from './browser.mjs';
import { startForge } from './server.mjs';

let browser;
let forge;

before(async () => {
  browser = await openBrowser();
  forge = await startForge(4);
});

after(async () => {
  await browser?.close();
  await forge?.stop();
});

const visit = (at, options = {}) => visitAs(browser, { url: forge.url, at, ...options });
const sleeper = (name, workers) => forge.ask('POST', 'jobs', {
  name, command: ['bash', '-c', 'trap "exit 3" TERM; sleep 600 & wait'], workers: { min: workers, max: workers }, stop: { grace_s: 1 },
});

test('the token opens the page and leaves the address', async () => {
  const { page, done } = await visit('/');
  await page.getByLabel('Token').fill('wrong');
  await page.keyboard.press('Enter');
  await page.getByText('does not take this token').waitFor();
  await done();
  const other = await visit(`/#token=${forge.token}`);
  await other.page.getByLabel(/^bench-1/).waitFor();
  assert.equal(new URL(other.page.url()).hash, '');
  await other.page.getByText('No job came yet').waitFor();
  await picture(other.page, 'fleet-empty');
  await other.page.reload();
  await other.page.getByLabel(/^bench-1/).waitFor();
  await other.page.getByRole('button', { name: 'Sign out' }).click();
  await other.page.getByLabel('Token').waitFor();
  await other.done();
});

test('a job is seen, explained and cancelled; a node is drained and resumed', async () => {
  const { page, done } = await visit(`/#token=${forge.token}`);
  const first = (await sleeper('long-one', 3)).id;
  await sleeper('waits', 3);
  await page.getByRole('row', { name: /long-one/ }).getByText('running').waitFor();
  await page.getByText('3 of 4 devices', { exact: true }).waitFor();
  await page.locator('.timeline .run').first().waitFor();
  await page.getByText(/job \d+ \(long-one\) runs/).waitFor();
  await page.getByRole('button', { name: 'waits', exact: true }).click();
  const job = page.getByRole('complementary', { name: 'waits' });
  assert.ok((await job.locator('.why').innerText()).length > 20);
  await job.locator('tbody tr').first().waitFor();
  await picture(page, 'fleet');
  await page.locator('.timeline .run').first().click();
  const running = page.getByRole('complementary', { name: 'long-one' });
  await running.getByRole('button', { name: 'Cancel' }).click();
  await running.getByRole('button', { name: `Stop job ${first} for good` }).click();
  await running.getByText('cancelled', { exact: true }).waitFor({ timeout: 20_000 });
  await page.getByRole('row', { name: /waits/ }).getByText('running').waitFor({ timeout: 20_000 });
  await page.keyboard.press('Escape');
  await running.waitFor({ state: 'detached' });

  await page.getByLabel(/^bench-1/).click();
  const node = page.getByRole('complementary', { name: 'bench-1' });
  await node.getByRole('button', { name: 'Drain' }).click();
  await node.getByRole('button', { name: 'Move its jobs away' }).click();
  await node.getByText('draining').waitFor();
  await page.getByText('node bench-1 is being drained').waitFor();
  await node.getByRole('button', { name: 'Resume' }).click();
  await node.getByText('up', { exact: true }).waitFor();
  await done();
});

const halls = `
[[region]]
name = "north"
[[kind]]
name = "cpu"
[[cluster]]
name = "hall-1"
region = "north"
[[cluster]]
name = "hall-2"
region = "north"
[[virtual_cluster]]
name = "all"
guarantee = 8
`;

// The text of one fact in a job's panel.
const fact = (panel, name, value) => panel.locator('dl div').filter({ hasText: name }).getByText(value, { exact: true });

test('a job is resized and moved: the page says before what will happen, and why it may not', async () => {
  const two = await startForge(4, halls, [{ node: 'bench-2', cluster: 'hall-2' }]);
  try {
    const submit = (name, changes) => two.ask('POST', 'jobs', { name, command: ['bash', '-c', 'trap "exit 3" TERM; sleep 600 & wait'], stop: { grace_s: 1 }, ...changes });
    await submit('elastic', { workers: { min: 2, max: 2 } });
    await submit('as-it-is', { workers: { min: 5, max: 5, process: 'per-node' }, place: { locality: 'node' }, checkpoint: { by: 'process' } });
    for (const colorScheme of ['dark', 'light']) {
      const { page, done } = await visitAs(browser, { url: two.url, at: `/#token=${two.token}`, colorScheme });
      await page.getByLabel(/^bench-2, cpu: up/).waitFor();
      await page.getByRole('button', { name: 'elastic', exact: true }).click();
      const job = page.getByRole('complementary', { name: 'elastic' });
      const foretold = (words) => job.locator('.foretold').filter({ hasText: words }).waitFor();
      const [from, to, least] = colorScheme === 'dark' ? ['hall-1', 'hall-2', 1] : ['hall-2', 'hall-1', 3];
      const workers = colorScheme === 'dark' ? 2 : 1;
      await fact(job, 'where', from === 'hall-1' ? 'bench-1' : 'bench-2').waitFor({ timeout: 20_000 });
      await fact(job, 'workers', `${workers}, of ${workers} to ${workers}`).waitFor();

      await job.getByRole('button', { name: 'Resize', exact: true }).click();
      const resize = job.getByRole('form', { name: 'Resize' });
      await foretold(/It goes on as it is/);
      await resize.getByLabel('Workers at least').fill('9');
      await foretold(/less than the least/);
      assert.ok(await resize.getByRole('button', { name: 'Resize' }).isDisabled());
      await resize.getByLabel('Workers at least').fill(String(least));
      await resize.getByLabel('and at most').fill(String(least));
      await foretold(least < workers ? /asked to save itself and gets 1 second for that, gives 1 device back and goes on with 1\./ : /goes on with 3 workers as soon as they are free/);
      await picture(page, `fleet-resize-${colorScheme}`);
      await resize.getByRole('button', { name: 'Resize' }).click();
      await job.getByRole('status').getByText(`Asked: ${least} worker${least === 1 ? '' : 's'}.`).waitFor();
      await fact(job, 'workers', `${least}, of ${least} to ${least}`).waitFor({ timeout: 20_000 });

      await job.getByRole('button', { name: 'Move', exact: true }).click();
      const move = job.getByRole('form', { name: 'Move' });
      await foretold(/It stays where it is/);
      if (await move.getByLabel(to).isChecked() === false) await move.getByLabel(to).check();
      await move.getByLabel(from).uncheck();
      await foretold(new RegExp(`leaves ${from}, and goes on in ${to} as soon as ${least} devices? (is|are) free there`));
      await picture(page, `fleet-move-${colorScheme}`);
      await move.getByLabel(to).uncheck();
      assert.ok(await move.getByRole('button', { name: 'Move' }).isDisabled());
      await move.getByLabel(to).check();
      await move.getByRole('button', { name: 'Move' }).click();
      await fact(job, 'where', to === 'hall-1' ? 'bench-1' : 'bench-2').waitFor({ timeout: 20_000 });

      await page.getByRole('button', { name: 'as-it-is', exact: true }).click();
      const fixed = page.getByRole('complementary', { name: 'as-it-is' });
      await fixed.getByRole('button', { name: 'Resize', exact: true }).click();
      await fixed.getByLabel('Workers at least').fill('2');
      await fixed.getByRole('form').getByRole('button', { name: 'Resize' }).click();
      await fixed.getByRole('alert').getByText(/processes that are saved as they are keep their size/).waitFor();
      await picture(page, `fleet-refused-${colorScheme}`);
      await done();
    }
  } finally {
    await two.stop();
  }
});

test('a telephone shows the fleet without sideways scrolling', async () => {
  const { page, done } = await visit(`/#token=${forge.token}`, { width: 390, height: 800, colorScheme: 'light' });
  await page.getByLabel(/^bench-1/).waitFor();
  assert.ok(await overflow(page) <= 0);
  await page.getByLabel(/^bench-1/).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('complementary', { name: 'bench-1' }).waitFor();
  assert.ok(await overflow(page) <= 0);
  await picture(page, 'fleet-phone');
  await done();
});
