// The console, as an admin and as a tenant, on a server of one's own and on one with keys.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, test } from 'node:test';

import { openBrowser, overflow, picture, visitAs } from './browser.mjs';
import { startServer } from './server.mjs';

let browser;
let server;

before(async () => {
  browser = await openBrowser();
  server = await startServer();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

const visit = (at, options = {}) => visitAs(browser, { url: server.url, at: `/#/${at}`, ...options });
const button = (page, name) => page.getByRole('button', { name, exact: true });
const file = (name, text) => ({ name, mimeType: 'application/jsonl', buffer: Buffer.from(text) });

async function until(what, check) {
  for (const end = Date.now() + 60_000; ;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const api = async (path, options = {}, url = server.url) => (await fetch(url + path, options)).json();
const chat = (more = {}, url = server.url, key = '') => fetch(`${url}/v1/chat/completions`, {
  method: 'POST', headers: key ? { authorization: `Bearer ${key}` } : {}, body: JSON.stringify({ messages: [{ role: 'user', content: 'Hello' }], max_tokens: 24, ...more }),
});

test('the first deployment is made, slid and deleted, and what is slid counts at once', async () => {
  const { page, done } = await visit('deployments');
  await page.getByText('No deployments yet').waitFor();
  await picture(page, 'console-empty');
  await button(page, 'New deployment').click();
  await page.getByLabel('Name', { exact: true }).fill('chat');
  await page.getByLabel('PTU', { exact: true }).fill('5');
  await button(page, 'Make it').click();
  const card = page.getByRole('article', { name: 'chat' });
  await card.waitFor();
  assert.equal(await page.locator('.charts canvas').count(), 4);
  await page.getByLabel('PTU of chat', { exact: true }).focus();
  for (let i = 0; i < 5; ++i) await page.keyboard.press('ArrowRight');
  const slid = Number(await page.getByLabel('PTU of chat, exactly').inputValue());
  assert.ok(slid > 5, `${slid}`);
  await until('the server has what was slid', async () => (await api('/v1/deployments/chat')).ptu === slid);
  await page.getByLabel('PTU of chat, exactly').fill('7.25');
  await page.keyboard.press('Enter');
  await until('the server has what was written', async () => (await api('/v1/deployments/chat')).ptu === 7.25);
  await chat();
  await until('its tokens are in sight', async () => /\b[1-9][\d,.]*k?\s*generated/.test(await card.innerText()));
  await card.getByRole('checkbox').click();
  await until('it spills over', async () => (await api('/v1/deployments/chat')).spillover === 'standard');
  await picture(page, 'console-deployments');
  await card.getByRole('button', { name: 'Delete' }).click();
  await card.getByRole('button', { name: 'Delete chat' }).click();
  await page.getByText('No deployments yet').waitFor();
  await done();
});

test('what the server refuses stands where it was asked', async () => {
  const { page, done } = await visit('deployments');
  for (const times of [1, 2]) {
    await button(page, 'New deployment').click();
    await page.getByLabel('Name', { exact: true }).fill('twice');
    await button(page, 'Make it').click();
    if (times === 1) await page.getByRole('article', { name: 'twice' }).waitFor();
  }
  assert.match(await page.locator('form').getByRole('alert').innerText(), /has a deployment 'twice' already/);
  await fetch(`${server.url}/v1/deployments/twice`, { method: 'DELETE' });
  await done();
});

test('keys: made once shown, scoped, revoked; a tenant sees only what it may', async () => {
  const locked = await startServer();
  try {
    const { page, done } = await visit('keys', { url: locked.url });
    const admins = page.locator('section', { hasText: 'Admins' });
    await admins.getByRole('button', { name: 'New key' }).click();
    await page.getByLabel('Name', { exact: true }).fill('me');
    await button(page, 'Make the key').click();
    const secret = await page.locator('.secret code').innerText();
    await button(page, 'Sign in with it').click();
    await page.getByText('Admin', { exact: true }).waitFor();
    assert.equal(await page.locator('.secret').count(), 0);
    assert.ok(!(await page.content()).includes(secret));
    assert.ok(!(await page.evaluate(() => JSON.stringify(localStorage))).includes(secret), 'only this tab knows it');

    await button(page, 'New tenant').click();
    await page.getByLabel('Name, for ever').fill('ann');
    await page.getByLabel('Tokens a day').fill('5000');
    await button(page, 'Make it').click();
    const ann = page.getByRole('region', { name: 'ann' });
    await ann.getByText('5,000 tokens a day').waitFor();
    await ann.getByRole('button', { name: 'New key' }).click();
    await ann.getByLabel('Name', { exact: true }).fill('laptop');
    await ann.getByLabel('Good for').selectOption('30');
    await ann.getByLabel('inference').check();
    await ann.getByLabel('usage').check();
    await button(page, 'Make the key').click();
    const key = await ann.locator('.secret code').innerText();
    await button(page, 'Hide the key').click();
    assert.match(await ann.locator('tbody tr').innerText(), /laptop.*inference, usage/s);
    await picture(page, 'console-keys');
    assert.equal((await chat({}, locked.url, key)).status, 200);
    assert.equal((await chat({}, locked.url)).status, 401);

    const tenant = await visitAs(browser, { url: locked.url, at: '/#/deployments' });
    await tenant.page.getByLabel('API key').fill('wrong');
    await tenant.page.keyboard.press('Enter');
    await tenant.page.getByText('does not know that key').waitFor();
    await tenant.page.getByLabel('API key').fill(key);
    await tenant.page.keyboard.press('Enter');
    const pages = tenant.page.getByRole('navigation', { name: 'Console' });
    await pages.waitFor();
    assert.deepEqual((await pages.innerText()).split('\n').map((name) => name.trim()), ['Deployments', 'Usage', 'Health']);
    assert.equal(await button(tenant.page, 'New deployment').count(), 0);
    assert.equal(await tenant.page.getByText('Audit log').count(), 0);
    await tenant.page.getByRole('link', { name: 'Health' }).click();
    await tenant.page.getByText('no key, or an unknown one').waitFor();
    await button(tenant.page, 'Sign out').click();
    await tenant.page.getByLabel('API key').waitFor();
    await tenant.done();

    await ann.getByRole('button', { name: 'Revoke' }).click();
    await ann.getByRole('button', { name: 'Revoke for good' }).click();
    // The last key of a tenant is gone: the server is open again, to strangers in the name of nobody.
    await ann.getByText('nobody can ask in its name').or(ann.getByText('No keys yet')).waitFor();
    const stranger = await (await fetch(`${locked.url}/v1/hearth/whoami`, { headers: { authorization: `Bearer ${key}` } })).json();
    assert.deepEqual([stranger.project, stranger.role], ['default', 'tenant']);
    await page.getByRole('link', { name: 'Health' }).click();
    await page.getByText('api_key.deleted').waitFor();
    await picture(page, 'console-health');
    await done();
  } finally {
    await locked.stop();
  }
});

test('a job from a file to a model one talks to', async () => {
  const { page, done } = await visit('jobs');
  await page.getByText('No jobs yet').waitFor();
  await button(page, 'New job').click();
  const lines = Array.from({ length: 6 }, (_, i) => JSON.stringify({ messages: [{ role: 'user', content: `Hello ${i}` }, { role: 'assistant', content: 'Ahoy, captain!' }] }));
  await page.getByLabel('Examples (.jsonl)').setInputFiles(file('pirate.jsonl', lines.join('\n')));
  await page.getByLabel('Name of the result').fill('pirate');
  await page.getByLabel('Passes over the file').fill('2');
  await button(page, 'Start').click();
  const job = page.getByRole('region', { name: 'Job' });
  await job.getByText('succeeded').waitFor({ timeout: 240_000 });
  await job.locator('canvas').waitFor();
  assert.match(await job.innerText(), /successfully completed/);
  await picture(page, 'console-job');
  await button(page, 'Chat with it').click();
  await page.locator('.welcome b').waitFor();
  await page.waitForFunction(() => /^ft:.*pirate/.test(document.querySelector('.welcome b').textContent));
  await page.getByRole('button', { name: 'Console' }).click();
  await page.getByRole('link', { name: 'Adapters' }).click();
  await page.locator('td.name', { hasText: 'pirate' }).waitFor();
  await picture(page, 'console-adapters');
  await page.getByRole('row', { name: /pirate/ }).getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('button', { name: 'Delete for good' }).click();
  await page.getByText('No adapters yet').waitFor();
  await done();
});

test('a job that is waiting can be paused, resumed and cancelled', async () => {
  const { page, done } = await visit('jobs');
  await button(page, 'New job').click();
  const lines = Array.from({ length: 400 }, (_, i) => JSON.stringify({ prompt: `Say ${i}`, completion: 'A long and winding answer that goes on and on.' }));
  await page.getByLabel('Examples (.jsonl)').setInputFiles(file('long.jsonl', lines.join('\n')));
  await page.getByLabel('Passes over the file').fill('50');
  await button(page, 'Start').click();
  const job = page.getByRole('region', { name: 'Job' });
  await job.getByRole('button', { name: 'Pause' }).click({ timeout: 60_000 });
  await job.getByRole('button', { name: 'Resume' }).click({ timeout: 60_000 });
  await job.getByRole('button', { name: 'Pause' }).waitFor({ timeout: 60_000 });
  await job.getByRole('button', { name: 'Cancel' }).click();
  await job.getByRole('button', { name: 'Cancel the job' }).click();
  await job.getByText('cancelled', { exact: true }).waitFor({ timeout: 60_000 });
  await done();
});

test('a batch is followed to its end, and its files are handed out', async () => {
  const { page, done } = await visit('batches');
  await page.getByText('No batches yet').waitFor();
  await button(page, 'New batch').click();
  const lines = [1, 2, 3].map((id) => JSON.stringify({ custom_id: `q${id}`, method: 'POST', url: '/v1/chat/completions', body: { messages: [{ role: 'user', content: 'Hi' }], max_tokens: 4 } }));
  await page.getByLabel('Requests (.jsonl)').setInputFiles(file('requests.jsonl', lines.join('\n')));
  await button(page, 'Start').click();
  await page.getByText('completed').waitFor({ timeout: 60_000 });
  await page.getByText('3 of 3 done').waitFor();
  const [download] = await Promise.all([page.waitForEvent('download'), button(page, 'output').click()]);
  const output = fs.readFileSync(await download.path(), 'utf8').trim().split('\n').map((line) => JSON.parse(line).custom_id);
  assert.deepEqual(output.sort(), ['q1', 'q2', 'q3']);
  await button(page, 'New batch').click();
  await page.getByLabel('Requests (.jsonl)').setInputFiles(file('broken.jsonl', '{"custom_id": 1'));
  await button(page, 'Start').click();
  await page.getByText(/line 1: /).waitFor({ timeout: 60_000 });
  await picture(page, 'console-batches');
  await done();
});

test('usage is counted, drawn and exported', async () => {
  await chat();
  const { page, done } = await visit('usage');
  await page.locator('.column span').first().waitFor();
  assert.match(await page.locator('tbody tr').first().innerText(), /default/);
  await page.locator('.figure', { hasText: 'PTU-minutes' }).waitFor();
  await page.getByRole('tab', { name: 'Model', exact: true }).click();
  await page.locator('td.name', { hasText: 'ember' }).waitFor();
  const [download] = await Promise.all([page.waitForEvent('download'), button(page, 'Export CSV').click()]);
  assert.match(fs.readFileSync(await download.path(), 'utf8'), /^start_time,project,.*\r\n\d+,default,/);
  await picture(page, 'console-usage');
  await done();
});

test('the console by keyboard, in the light, on a telephone, and after a reload', async () => {
  const { page, done } = await visit('health', { width: 390, height: 800, colorScheme: 'light' });
  await page.getByRole('heading', { name: 'Health' }).waitFor();
  const pages = page.getByRole('navigation', { name: 'Console' });
  for (const name of ['Deployments', 'Adapters', 'Jobs', 'Batches', 'Keys', 'Usage', 'Health']) {
    await pages.getByRole('link', { name, exact: true }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name, level: 1, exact: true }).waitFor();
    assert.ok(await overflow(page) <= 0, `${name} is too wide`);
    await picture(page, `phone-${name.toLowerCase()}`);
  }
  await page.reload();
  await page.getByRole('heading', { name: 'Health' }).waitFor();
  await page.goBack();
  await page.getByRole('heading', { name: 'Usage' }).waitFor();
  await done();
});
