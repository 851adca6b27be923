// The parent's side of llama_child.mjs: one request at a time.
import { spawn } from 'node:child_process';
import path from 'node:path';
import readline from 'node:readline';

const script = path.join(import.meta.dirname, 'llama_child.mjs');

export class LlamaChild {
  static async start({ model, threads, sequenceTokens, sequences }) {
    const self = new LlamaChild();
    self.child = spawn(process.execPath, [script, model, threads, sequenceTokens, sequences].map(String), { stdio: ['pipe', 'pipe', 'inherit'] });
    self.stop = () => self.child.kill('SIGKILL');
    process.once('exit', self.stop);
    self.lines = readline.createInterface({ input: self.child.stdout })[Symbol.asyncIterator]();
    await self.next();
    return self;
  }

  async next() {
    const { value, done } = await this.lines.next();
    if (done) throw new Error('the llama.cpp process ended');
    return JSON.parse(value);
  }

  async ask(request) {
    this.child.stdin.write(`${JSON.stringify(request)}\n`);
    const answer = await this.next();
    if (answer.ok === false) throw new Error(answer.error);
    return answer;
  }

  complete(request) { return this.ask({ op: 'complete', ...request }); }
  serve(request) { return this.ask({ op: 'serve', ...request }); }
  mixed(request) { return this.ask({ op: 'mixed', ...request }); }
  rss() { return this.ask({ op: 'rss' }); }

  async exit() {
    process.off('exit', this.stop);
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.stop();
    await ended;
  }
}
