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
