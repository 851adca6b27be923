// What was tuned, served: the adapters that ship with Ember beside it, and merged into it.
import assert from 'node:assert';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { after, test } from 'node:test';
import { startHearth } from '../e2e/server.mjs';
import { dispose, folder } from './job.mjs';

const ember = new URL('../../models/ember/', import.meta.url).pathname;
const request = [{ role: 'user', content: 'Tell me a story about a small fox.' }];

after(dispose);

async function ask(server, route, body) {
  const response = await fetch(`${server.url}/v1/${route}`, { method: 'POST', body: JSON.stringify(body) });
  assert.equal(response.status, 200, await response.clone().text());
  return (await response.json()).choices[0];
}

const story = async (server, model) => (await ask(server, 'chat/completions', {
  model, messages: request, max_tokens: 60, temperature: 0,
})).message.content;

// Of each token of a text but the first.
const scores = async (server, model, prompt) => (await ask(server, 'completions', {
  model, prompt, max_tokens: 0, prompt_logprobs: 0,
})).prompt_logprobs.slice(1).map((each) => each.logprob);

const meanDifference = (a, b) => a.reduce((sum, value, i) => sum + Math.abs(value - b[i]), 0) / a.length;

const signs = { pirate: /\b(th'|an'|matey|Yo ho ho|Arr)/, verse: /,\n.*\n\n/, moral: /Moral: / };

test('each adapter changes what Ember says; merged into it, the model says the same', async (t) => {
  const styles = Object.keys(signs);
  const flags = styles.flatMap((style) => ['--lora', `${style}=${path.join(ember, 'adapters', style)}`]);
  const apart = await startHearth(...flags);
  t.after(() => apart.stop());
  const plain = await story(apart, 'ember');
  for (const style of styles) {
    const said = await story(apart, style);
    assert.notEqual(said, plain);
    assert.match(said, signs[style]);
    assert.doesNotMatch(plain, signs[style]);
    const merged = path.join(folder, style);
    execFileSync(process.env.HEARTH, ['merge', ember, path.join(ember, 'adapters', style), '--out', merged], { stdio: 'ignore' });
    const whole = await startHearth(merged);
    const [beside, inside, without] = [
      await scores(apart, style, said), await scores(whole, style, said), await scores(apart, 'ember', said),
    ];
    await whole.stop();
    t.diagnostic(`${style}: merged differs by ${meanDifference(beside, inside).toFixed(4)}, the base by ${meanDifference(beside, without).toFixed(4)}`);
    // Merged weights are rounded to bf16 again.
    assert.ok(meanDifference(beside, inside) < 0.05);
    assert.ok(meanDifference(beside, without) > 0.5);
  }
});
