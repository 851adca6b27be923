// Hearth as users meet it: `hearth serve` in a process of its own, asked over its HTTP API with token ids.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';

const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });

export class HearthChild {
  constructor(child, port) {
    this.child = child;
    this.port = port;
  }

  static async start({ program, model, threads, contextTokens, sequences, extra = [] }) {
    const port = 20000 + Math.floor(Math.random() * 20000);
    const child = spawn(program, [
      'serve', model, '--port', String(port), '--threads', String(threads), '--log-level', 'warn',
      '--kv-cache-tokens', String(contextTokens), '--max-num-seqs', String(sequences), '--no-prefix-caching', ...extra,
    ], { stdio: ['ignore', 'ignore', 'inherit'] });
    process.once('exit', () => child.kill('SIGKILL'));
    const self = new HearthChild(child, port);
    for (;;) {
      if (child.exitCode !== null) throw new Error(`hearth serve ended with status ${child.exitCode}`);
      if (await self.ready()) return self;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  ready() {
    return new Promise((resolve) => {
      http.get({ port: this.port, path: '/ready', agent }, (response) => {
        response.resume();
        resolve(response.statusCode === 200);
      }).on('error', () => resolve(false));
    });
  }

  // Prompt, then `count` greedy tokens: how many came, and when each piece of text did.
  complete({ prompt, count }) {
    const begin = performance.now();
    const times = [];
    const body = JSON.stringify({
      prompt, max_tokens: Math.max(count, 1), temperature: 0, ignore_eos: true, stream: true,
      stream_options: { include_usage: true },
    });
    return new Promise((resolve, reject) => {
      const request = http.request({
        port: this.port, method: 'POST', path: '/v1/completions', agent,
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
      }, (response) => {
        let pending = '';
        let tokens = 0;
        response.setEncoding('utf8');
        response.on('data', (chunk) => {
          const now = performance.now() - begin;
          const lines = (pending + chunk).split('\n');
          pending = lines.pop();
          for (const line of lines) {
            if (!line.startsWith('data: {')) continue;
            const event = JSON.parse(line.slice(6));
            if (event.error) return reject(new Error(event.error.message));
            if (event.choices?.length > 0 && event.choices[0].finish_reason === null) times.push(now);
            tokens = event.usage?.completion_tokens ?? tokens;
          }
        });
        response.on('end', () => (response.statusCode === 200
          ? resolve({ ms: performance.now() - begin, times, tokens })
          : reject(new Error(`HTTP ${response.statusCode}: ${pending}`))));
        response.on('error', reject);
      });
      request.on('error', reject);
      request.end(body);
    });
  }

  async serve({ prompts, count, streams }) {
    const begin = performance.now();
    const queue = [...prompts];
    const runs = [];
    await Promise.all(Array.from({ length: streams }, async () => {
      for (let prompt; (prompt = queue.shift()); ) runs.push(await this.complete({ prompt, count }));
    }));
    return { ms: performance.now() - begin, runs };
  }

  async mixed({ prompts, count, longPrompts }) {
    let generating = prompts.length;
    const runs = prompts.map((prompt) => this.complete({ prompt, count }).finally(() => { --generating; }));
    for (const prompt of longPrompts) {
      if (generating === 0) break;
      await this.complete({ prompt, count: 1 });
    }
    return { runs: await Promise.all(runs) };
  }

  rss() {
    const line = fs.readFileSync(`/proc/${this.child.pid}/status`, 'utf8').split('\n').find((text) => text.startsWith('VmRSS'));
    return { bytes: Number(line.match(/\d+/)[0]) * 1024 };
  }

  exit() {
    this.child.kill('SIGKILL');
  }
}
