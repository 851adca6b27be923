// llama.cpp in a process of its own, driven by JSON lines on stdin: {op, ...} in, {ok, ...} out. Its own continuous
// batching (one batch over all sequences) serves several streams.
import readline from 'node:readline';

import { getLlama, LlamaLogLevel } from 'node-llama-cpp';

const [modelPath, threads, sequenceTokens, sequences] = process.argv.slice(2);

const started = performance.now();
const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error, maxThreads: Number(threads) });
const model = await llama.loadModel({ modelPath, useMmap: true });
const context = await model.createContext({
  contextSize: Number(sequenceTokens), sequences: Number(sequences), batchSize: 2048,
  threads: { ideal: Number(threads), min: Number(threads) }, flashAttention: true,
});
const pool = Array.from({ length: Number(sequences) }, () => context.getSequence());

// Prompt, then `count` greedy tokens; the time of each token since the start.
async function complete(sequence, prompt, count) {
  await sequence.clearHistory();
  const begin = performance.now();
  const times = [];
  let tokens = 0;
  if (count === 0) {
    await sequence.evaluateWithoutGeneratingNewTokens(prompt);
    return { ms: performance.now() - begin, times, tokens: 0 };
  }
  for await (const _ of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    times.push(performance.now() - begin);
    if (++tokens >= count) break;
  }
  return { ms: performance.now() - begin, times, tokens };
}

const operations = {
  complete: ({ prompt, count }) => complete(pool[0], prompt, count),
  async serve({ prompts, count }) {
    const begin = performance.now();
    const runs = await Promise.all(prompts.map((prompt, i) => complete(pool[i], prompt, count)));
    return { ms: performance.now() - begin, runs };
  },
  // Each prompt goes on for `count` tokens; meanwhile long prompts arrive one after the other on the last sequence.
  async mixed({ prompts, count, longPrompts }) {
    let generating = prompts.length;
    const runs = prompts.map((prompt, i) => complete(pool[i], prompt, count).finally(() => { --generating; }));
    const longs = [];
    const sent = (async () => {
      for (const prompt of longPrompts) {
        if (generating === 0) break;
        longs.push(await complete(pool[pool.length - 1], prompt, 1));
      }
    })();
    const result = await Promise.all(runs);
    await sent;
    return { runs: result, longs };
  },
  rss: () => ({ bytes: process.memoryUsage().rss }),
};

const reply = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
reply({ ready: true, loadMs: performance.now() - started });
for await (const line of readline.createInterface({ input: process.stdin })) {
  const { op, ...request } = JSON.parse(line);
  if (op === 'exit') process.exit(0);
  try {
    reply({ ok: true, ...(await operations[op](request)) });
  } catch (error) {
    reply({ ok: false, error: String(error?.stack ?? error) });
  }
}
