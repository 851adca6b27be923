// A server as its users meet it: a process of its own, asked over HTTP with token ids. Hearth always; llama.cpp's own
// server where the machine has one (--llama-server).
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';

// A connection for each request: a server may close an idle one in the moment in which it would be used again.
const agent = new http.Agent({ maxSockets: 64 });

// What differs between servers: how they are started, asked, and what an event says. `piece` is true where the event
// brings a token, `tokens` is the number of all where it is told.
const dialects = {
  hearth: {
    ready: '/ready',
    path: '/v1/completions',
    args: ({ model, threads, sequenceTokens, sequences, dataDir }) => [
      'serve', model, '--threads', threads, '--log-level', 'warn', '--data-dir', dataDir, '--kv-cache-tokens', sequenceTokens * sequences,
      '--max-model-len', sequenceTokens, '--max-num-seqs', sequences, '--no-prefix-caching',
    ],
    body: ({ prompt, count }) => ({
      prompt, max_tokens: Math.max(count, 1), temperature: 0, ignore_eos: true, stream: true, stream_options: { include_usage: true },
    }),
    read: (event) => ({ piece: event.choices?.length > 0 && event.choices[0].finish_reason === null, tokens: event.usage?.completion_tokens }),
  },
  'llama-server': {
    ready: '/health',
    path: '/completion',
    args: ({ model, threads, sequenceTokens, sequences }) => [
      '-m', model, '-t', threads, '-tb', threads, '-c', sequenceTokens * sequences, '-np', sequences, '-fa', 'on', '--no-webui', '--log-disable',
    ],
    body: ({ prompt, count }) => ({
      prompt, n_predict: Math.max(count, 1), temperature: 0, ignore_eos: true, stream: true, cache_prompt: false,
    }),
    read: (event) => ({ piece: event.stop === false, tokens: event.stop ? event.tokens_predicted : undefined }),
  },
};

export class HttpPeer {
  static async start({ dialect, program, ...options }) {
    const self = new HttpPeer();
    self.dialect = dialects[dialect];
    self.port = 20000 + Math.floor(Math.random() * 20000);
    const args = [...self.dialect.args(options), '--port', self.port].map(String);
    self.child = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
    self.stop = () => self.child.kill('SIGKILL');
    process.once('exit', self.stop);
    for (;;) {
      const { exitCode, signalCode } = self.child;
      if (exitCode !== null || signalCode !== null) throw new Error(`${program} ${args.join(' ')} ended with ${signalCode ?? `status ${exitCode}`}`);
      if (await self.ready()) return self;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  ready() {
    return new Promise((resolve) => {
      http.get({ port: this.port, path: this.dialect.ready, agent }, (response) => {
        response.resume();
        resolve(response.statusCode === 200);
      }).on('error', () => resolve(false));
    });
  }

  // Prompt, then `count` greedy tokens: how many came, and when each did.
  complete(request) {
    const begin = performance.now();
    const times = [];
    const body = JSON.stringify(this.dialect.body(request));
    return new Promise((resolve, reject) => {
      const sent = http.request({
        port: this.port, method: 'POST', path: this.dialect.path, agent,
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
            const read = this.dialect.read(event);
            if (read.piece) times.push(now);
            tokens = read.tokens ?? tokens;
          }
        });
        response.on('end', () => (response.statusCode === 200
          ? resolve({ ms: performance.now() - begin, times, tokens })
          : reject(new Error(`HTTP ${response.statusCode}: ${pending}`))));
        response.on('error', reject);
      });
      sent.on('error', reject);
      sent.end(body);
    });
  }

  // All prompts at once, `count` tokens each.
  async serve({ prompts, count }) {
    const begin = performance.now();
    const runs = await Promise.all(prompts.map((prompt) => this.complete({ prompt, count })));
    return { ms: performance.now() - begin, runs };
  }

  // All prompts at once; meanwhile long prompts arrive one after the other: `longs` are those.
  async mixed({ prompts, count, longPrompts }) {
    let generating = prompts.length;
    const runs = prompts.map((prompt) => this.complete({ prompt, count }).finally(() => { --generating; }));
    const longs = [];
    for (const prompt of longPrompts) {
      if (generating === 0) break;
      longs.push(await this.complete({ prompt, count: 1 }));
    }
    return { runs: await Promise.all(runs), longs };
  }

  rss() {
    const line = fs.readFileSync(`/proc/${this.child.pid}/status`, 'utf8').split('\n').find((text) => text.startsWith('VmRSS'));
    return { bytes: Number(line.match(/\d+/)[0]) * 1024 };
  }

  async exit() {
    process.off('exit', this.stop);
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.stop();
    await ended;
  }
}
