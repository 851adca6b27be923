// Chromium without a window, and visitors who notice what goes wrong.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

import { chromium } from 'playwright-core';

const pictures = process.env.HEARTH_SCREENSHOTS;

export const openBrowser = () => chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });

// A fresh visitor. Fails the test on script errors, on what the page's own policy forbids, and on any request that leaves the server.
export async function visitAs(browser, { url, at = '', width = 1360, height = 860, colorScheme = 'dark' }) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme, acceptDownloads: true });
  const page = await context.newPage();
  const problems = [];
  page.on('pageerror', (error) => problems.push(`script error: ${error.message}`));
  page.on('console', (message) => { if (/Content Security Policy/.test(message.text())) problems.push(message.text()); });
  page.on('request', (request) => {
    if (!/^(data|blob):/.test(request.url()) && !request.url().startsWith(url)) problems.push(`left the server: ${request.url()}`);
  });
  await page.goto(url + at);
  return { page, done: async () => { await context.close(); assert.deepEqual(problems, []); } };
}

export async function picture(page, name) {
  if (!pictures) return;
  fs.mkdirSync(pictures, { recursive: true });
  await page.screenshot({ path: path.join(pictures, `${name}.png`) });
}

export const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
