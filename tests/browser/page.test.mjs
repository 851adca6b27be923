import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { openBrowser, picture, visitAs } from './browser.mjs';
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

const visit = (options = {}) => visitAs(browser, { url: server.url, ...options });

const message = (page) => page.getByLabel('Message');
const answers = (page) => page.locator('.turn.assistant');

async function ask(page, text) {
  const before = await answers(page).count();
  await message(page).fill(text);
  await message(page).press('Enter');
  await answers(page).nth(before).locator('footer').waitFor({ timeout: 60_000 });
}

async function setKnob(page, label, value) {
  await page.getByLabel(`${label} value`, { exact: true }).fill(String(value));
}

test('a visitor asks and is answered, token by token', async () => {
  const { page, done } = await visit();
  await page.locator('.welcome b').waitFor();
  await picture(page, 'welcome');
  await setKnob(page, 'Answer length', 64);
  await ask(page, 'Tell me a story about a small fox.');
  assert.ok((await answers(page).first().locator('.prose').innerText()).length > 20);
  assert.match(await answers(page).first().locator('.facts').innerText(), /\d+ tokens · prompt \d+.* tokens\/s · first token \d+ ms/);
  await picture(page, 'chat');
  await done();
});

test('probabilities show what else could have been said', async () => {
  const { page, done } = await visit();
  await setKnob(page, 'Answer length', 48);
  await ask(page, 'Tell me a story.');
  const plain = await answers(page).first().locator('.prose').innerText();
  await page.getByRole('button', { name: 'probabilities' }).click();
  const tokens = page.locator('.token');
  assert.ok(await tokens.count() > 5);
  await tokens.nth(4).hover();
  const rows = page.locator('.alternatives .row');
  assert.equal(await rows.count(), 5);
  assert.match(await rows.first().innerText(), /%/);
  const joined = (await page.locator('.tokens').evaluate((element) => [...element.querySelectorAll('.token')].map((token) => token.firstChild.textContent).join('')));
  assert.equal(joined.replace(/\s+/g, ' ').trim(), plain.replace(/\s+/g, ' ').trim());
  await picture(page, 'probabilities');
  await done();
});

// The embedded model ends its longest answer within a blink: this lets the page hear it little by little, and its end never.
function slowAnswers() {
  const piecesHeard = 20;
  const realFetch = window.fetch;
  window.fetch = async (url, options) => {
    const response = await realFetch(url, options);
    if (!String(url).includes('chat/completions')) return response;
    const reader = response.body.getReader();
    let pending = new Uint8Array();
    let pieces = 0;
    const stopped = new Promise((resolve) => { options.signal.addEventListener('abort', resolve); });
    const body = new ReadableStream({
      async pull(controller) {
        if (pending.length === 0) {
          const { done, value } = await reader.read();
          if (done) return controller.close();
          pending = value;
        }
        await (++pieces > piecesHeard ? stopped : new Promise((resolve) => { setTimeout(resolve, 50); }));
        if (options.signal.aborted) return controller.error(new Error('aborted'));
        controller.enqueue(pending.slice(0, 200));
        pending = pending.slice(200);
      },
    });
    return new Response(body, { status: response.status, headers: response.headers });
  };
}

test('an answer can be stopped, by key and by button', async () => {
  const { page, done } = await visit();
  await page.addInitScript(slowAnswers);
  await page.reload();
  await setKnob(page, 'Answer length', 4096);
  for (const stop of [() => page.keyboard.press('Escape'), () => page.getByLabel('Stop', { exact: true }).click()]) {
    const count = await answers(page).count();
    await message(page).fill('Tell me the longest story that you know.');
    await message(page).press('Enter');
    await page.locator('.caret').waitFor();
    await stop();
    await answers(page).nth(count).locator('footer').waitFor();
  }
  const facts = await page.locator('.facts').allInnerTexts();
  assert.equal(facts.length, 2);
  for (const fact of facts) assert.match(fact, /stopped/);
  await done();
});

test('the same seed gives the same answer; the panel says what is sent', async () => {
  const { page, done } = await visit();
  await setKnob(page, 'Answer length', 32);
  await page.getByLabel('Seed').fill('7');
  await ask(page, 'Once upon a time');
  const first = await answers(page).first().locator('.prose').innerText();
  await page.getByLabel('Try again').click();
  await page.locator('.caret').waitFor({ state: 'detached' });
  assert.equal(await answers(page).first().locator('.prose').innerText(), first);
  const code = page.locator('.snippet');
  assert.match(await code.innerText(), /"seed": 7/);
  await page.getByRole('tab', { name: 'Python' }).click();
  assert.match(await code.innerText(), /from openai import OpenAI[\s\S]*seed=7/);
  await page.getByRole('tab', { name: 'JavaScript' }).click();
  assert.match(await code.innerText(), /new OpenAI/);
  await done();
});

test('every knob explains itself', async () => {
  const { page, done } = await visit();
  const helps = page.locator('.knob .help');
  await helps.first().waitFor();
  assert.ok(await helps.count() >= 8);
  for (let i = 0; i < await helps.count(); ++i) {
    await helps.nth(i).hover();
    assert.ok((await helps.nth(i).locator('span').innerText()).length > 40);
  }
  await done();
});

test('knobs begin where the model stands, and what is turned is sent', async () => {
  const { page, done } = await visit();
  await page.locator('.welcome b').waitFor();
  assert.equal(await page.getByLabel('Temperature value').inputValue(), '0.7');
  assert.doesNotMatch(await page.locator('.snippet').innerText(), /temperature/);
  await setKnob(page, 'Temperature', 1);
  assert.match(await page.locator('.snippet').innerText(), /"temperature": 1\b/);
  await page.getByRole('button', { name: 'Back to defaults' }).click();
  assert.equal(await page.getByLabel('Temperature value').inputValue(), '0.7');
  await done();
});

test('no knob moves under the hand of who turns it: they come with the model', async () => {
  const { page, done } = await visit();
  let letGo;
  const held = new Promise((resolve) => { letGo = resolve; });
  await page.route('**/v1/models', async (route) => { await held; await route.continue(); });
  await page.reload();
  await page.getByLabel('System prompt').waitFor();
  assert.equal(await page.locator('.knob').count(), 0);
  letGo();
  await page.locator('.knob').first().waitFor();
  assert.equal(await page.getByLabel('Temperature value').inputValue(), '0.7');
  await done();
});

test('settings and theme are there on the next visit', async () => {
  const { page, done } = await visit();
  await setKnob(page, 'Temperature', 0.3);
  await page.getByLabel('Dark or light').click();
  await page.reload();
  assert.equal(await page.getByLabel('Temperature value').inputValue(), '0.3');
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'light');
  await picture(page, 'light');
  await done();
});

test('live charts draw what the server does', async () => {
  const { page, done } = await visit();
  await setKnob(page, 'Answer length', 200);
  await ask(page, 'Tell me a long story.');
  await page.getByRole('button', { name: 'Live' }).click();
  await page.locator('.live canvas').nth(5).waitFor();
  await page.waitForFunction(() => /\d/.test(document.querySelector('.figure .value')?.textContent ?? ''));
  await picture(page, 'live');
  await done();
});

test('the keyboard is enough', async () => {
  const { page, done } = await visit();
  await page.locator('.welcome b').waitFor();
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press('/');
  assert.equal(await page.evaluate(() => document.activeElement.tagName), 'TEXTAREA');
  await page.keyboard.type('first line');
  await page.keyboard.press('Shift+Enter');
  await page.keyboard.type('second line');
  assert.equal(await message(page).inputValue(), 'first line\nsecond line');
  await done();
});

test('a telephone shows everything without sideways scrolling', async () => {
  const { page, done } = await visit({ width: 390, height: 800, colorScheme: 'light' });
  await page.locator('.welcome b').waitFor();
  await picture(page, 'phone');
  const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(await overflow() <= 0);
  await page.getByLabel('Settings', { exact: true }).first().click();
  await page.locator('.panel').waitFor();
  assert.ok(await overflow() <= 0);
  await picture(page, 'phone-settings');
  await page.getByLabel('Close settings').click();
  await page.getByRole('button').nth(1).click();
  assert.ok(await overflow() <= 0);
  await done();
});

test('a server with keys asks for one', async () => {
  const locked = await startServer('--api-key', 'open-sesame');
  try {
    const { page, done } = await visit({ url: locked.url });
    await page.getByRole('alert').waitFor();
    assert.match(await page.getByRole('alert').first().innerText(), /API key/);
    await page.getByLabel('API key').fill('open-sesame');
    await page.locator('.welcome b').waitFor();
    const code = await page.locator('.snippet').innerText();
    assert.match(code, /Bearer \$HEARTH_API_KEY/);
    assert.doesNotMatch(code, /open-sesame/);
    await done();
  } finally {
    await locked.stop();
  }
});
