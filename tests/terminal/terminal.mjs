// The program in a real terminal (a pseudo-terminal of script(1), which Debian always has): the chat's line editing, history, Ctrl-C and
// Ctrl-D, and the views that go to a screen.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '../..');
const hearth = process.env.HEARTH ?? path.join(root, 'build/hearth');
const data = fs.mkdtempSync(path.join(os.tmpdir(), 'hearth-terminal-'));
process.on('exit', () => fs.rmSync(data, { recursive: true, force: true }));

// The model with room for an answer that does not end by itself.
function longModel() {
  const folder = path.join(data, 'models', 'ember');
  fs.cpSync(path.join(root, 'models/ember'), folder, { recursive: true });
  const config = JSON.parse(fs.readFileSync(path.join(folder, 'config.json')));
  fs.writeFileSync(path.join(folder, 'config.json'), JSON.stringify({ ...config, max_position_embeddings: 32768 }));
  return folder;
}

class Terminal {
  static all = [];

  constructor(...args) {
    const command = `stty cols 60 rows 30; exec ${[hearth, ...args, '--log-level', 'warn'].map((word) => `'${word}'`).join(' ')}`;
    this.child = spawn('script', ['-qefc', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, TERM: 'xterm', LC_ALL: 'C.UTF-8' } });
    Terminal.all.push(this);
    this.seen = '';
    this.read = 0;
    this.child.stdout.setEncoding('utf8').on('data', (text) => { this.seen += text; });
    this.ended = new Promise((resolve) => this.child.once('exit', (code, signal) => resolve(code ?? signal)));
  }

  // What came up to and with the pattern, since the last call.
  async expect(pattern) {
    const deadline = Date.now() + 60_000;
    for (;;) {
      const found = pattern.exec(this.seen.slice(this.read));
      if (found) {
        const text = this.seen.slice(this.read, this.read + found.index + found[0].length);
        this.read += found.index + found[0].length;
        return text;
      }
      if (Date.now() > deadline) throw new Error(`${pattern} did not come; the screen has ${JSON.stringify(this.seen.slice(this.read).slice(-400))}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  type(keys) { this.child.stdin.write(keys); }
}

const facts = /\d+ tokens, \d+ tokens\/s, first token after \d+ ms/;
const prompt = /> $/;
const tests = {
  async 'an answer, many lines, commands, and Ctrl-D'() {
    const chat = new Terminal('chat', '--data-dir', data, '--temperature', '0');
    await chat.expect(/Hearth.*ember.*\/help/);
    await chat.expect(prompt);
    chat.type('Hello, who are you?\r');
    const answer = await chat.expect(facts);
    // No word is cut at the edge of the screen: lines fit, and break between words.
    for (const line of answer.replace(/\x1b\[\d+D\x1b\[K/g, '').split('\r\n')) assert.ok([...line.replace(/\x1b\[[0-9;]*m/g, '')].length <= 75, line);
    await chat.expect(prompt);
    chat.type('Tell me \\\r');
    await chat.expect(/\. $/);
    chat.type('a story.\r');
    await chat.expect(facts);
    await chat.expect(prompt);
    chat.type('"""\rone\rtwo"""\r');
    await chat.expect(facts);
    await chat.expect(prompt);
    chat.type('/set temperature 0.5\r/show\r');
    await chat.expect(/"temperature":0.5/);
    chat.type('/nonsense\r');
    await chat.expect(/unknown command \/nonsense/);
    await chat.expect(prompt);
    chat.type('\x04');
    assert.equal(await chat.ended, 0);
  },

  async 'history: up brings back the last line, in the next session too'() {
    const first = new Terminal('chat', '--data-dir', data);
    await first.expect(prompt);
    first.type('Good morning, little fox.\r');
    await first.expect(facts);
    await first.expect(prompt);
    first.type('\x1b[A');
    await first.expect(/Good morning, little fox\./);
    first.type('\x03');
    await first.expect(prompt);
    first.type('\x04');
    assert.equal(await first.ended, 0);
    const second = new Terminal('chat', '--data-dir', data);
    await second.expect(prompt);
    second.type('\x1b[A');
    await second.expect(/Good morning, little fox\./);
    second.type('\r');
    await second.expect(facts);
    await second.expect(prompt);
    second.type('\x04');
    assert.equal(await second.ended, 0);
  },

  async 'Ctrl-C stops an answer, forgets a line, and ends nothing'() {
    const chat = new Terminal('chat', longModel(), '--data-dir', data);
    await chat.expect(prompt);
    chat.type('/set ignore_eos true\r');
    await chat.expect(prompt);
    chat.type('Tell me a long story.\r');
    await chat.expect(/story\.\r\n[^]*\w+ \w+ \w+/);
    chat.type('\x03');
    await chat.expect(/stopped/);
    await chat.expect(prompt);
    chat.type('half a line');
    await chat.expect(/half a line/);
    chat.type('\x03');
    await chat.expect(prompt);
    chat.type('/show\r');
    await chat.expect(/ignore_eos/);
    await chat.expect(prompt);
    chat.type('\x04');
    assert.equal(await chat.ended, 0);
  },

  async 'serve says where it is, and Ctrl-C drains it'() {
    const serve = new Terminal('serve', '--port', '0', '--data-dir', data);
    const text = await serve.expect(/stop\s+Ctrl-C/);
    assert.match(text, /Hearth is serving ember[^]*playground\s+http:\/\/127\.0\.0\.1:\d+\s[^]*OpenAI API\s+http:\/\/127\.0\.0\.1:\d+\/v1/);
    const url = /playground\s+(http:\S+)/.exec(text)[1];
    const bench = new Terminal('bench', 'serve', '--url', url, '--requests', '4', '--prompt-tokens', '20', '--output-tokens', '8');
    const table = await bench.expect(/end to end[^\n]*\n/);
    assert.equal(await bench.ended, 0);
    // The progress is gone when the report comes.
    assert.match(table, /\x1b\[K\s*requests\s+4 succeeded, 0 failed/);
    serve.type('\x03');
    assert.equal(await serve.ended, 0);
  },

  async 'top draws a server again and again, and leaves the screen as it was'() {
    const serve = new Terminal('serve', '--port', '0', '--data-dir', data);
    const url = /playground\s+(http:\S+)/.exec(await serve.expect(/stop\s+Ctrl-C/))[1];
    const ask = (method, where, body) => fetch(url + where, { method, body: JSON.stringify(body) });
    await ask('POST', '/v1/deployments', { name: 'chat', ptu: 2.5 });
    await ask('POST', '/v1/completions', { prompt: 'Once', max_tokens: 8 });
    const once = spawnSync(hearth, ['top', '--url', url, '--once'], { encoding: 'utf8' });
    assert.equal(once.status, 0, once.stderr);
    assert.match(once.stdout, /^hearth \S+   ember   ready   up /);
    assert.match(once.stdout, /requests\s+0 running, 0 waiting[^]*KV cache[^]*\nchat\s+2\.5/);
    assert.ok(!once.stdout.includes('\x1b'), 'plain text where nobody looks');
    for (const line of once.stdout.split('\n')) assert.ok([...line].length <= 80, line);
    const top = new Terminal('top', '--url', url);
    await top.expect(/\x1b\[\?1049h/);
    await top.expect(/chat\s+2\.5/);
    await ask('PATCH', '/v1/deployments/chat', { ptu: 4 });
    await top.expect(/chat\s+4 /);
    top.type('x');
    await top.expect(/\x1b\[H/);
    top.type('q');
    await top.expect(/\x1b\[\?25h\x1b\[\?1049l/);
    assert.equal(await top.ended, 0);
    serve.type('\x03');
    assert.equal(await serve.ended, 0);
    const nobody = spawnSync(hearth, ['top', '--url', url, '--once'], { encoding: 'utf8' });
    assert.equal(nobody.status, 1);
    assert.match(nobody.stderr, /hearth: .*127\.0\.0\.1/);
  },

  async 'views fit the screen'() {
    const run = (...args) => {
      const done = spawnSync(hearth, args, { encoding: 'utf8' });
      assert.equal(done.status, 0, done.stderr);
      for (const line of done.stdout.split('\n')) assert.ok(line.length <= 80, `${args.join(' ')}: ${line}`);
      return done.stdout;
    };
    run('inspect', '--data-dir', data);
    const page = run('--help');
    const commands = [...page.matchAll(/^  ([a-z]+)  /gm)].map((found) => found[1]);
    assert.ok(commands.length > 10, `${commands}`);
    assert.doesNotMatch(page, /^  [a-z]+$/m, 'a command has a line of its own, apart from what it does');
    const example = page.match(/^Examples\n(.+)/m)[1];
    for (const command of commands) assert.ok(!run(command, '--help').includes(example), `${command} repeats the examples of all`);
    const help = run('bench', 'serve', '--help');
    assert.match(help, /--goodput TEXT +Service level in ms/);
    assert.match(help, /\[default 100\]/);
    const kernels = run('bench', 'kernels', 'rms_norm', '--threads', '1');
    assert.match(kernels, /^1 thread +ms +rate +of limit\nlimit read +[\d.]+ +[\d.]+ GB\/s[^]*\nrms_norm .+GB\/s +\n$/);
  },
};

// What a test that failed left behind ends with the suite.
process.on('exit', () => Terminal.all.forEach((one) => one.child.kill()));

let failed = 0;
for (const [name, test] of Object.entries(tests)) {
  try {
    await test();
  } catch (error) {
    ++failed;
    console.log(`  FAIL ${name}\n    ${error.stack?.split('\n').slice(0, 4).join('\n    ')}`);
  }
}
console.log(`  terminal: ${Object.keys(tests).length - failed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
