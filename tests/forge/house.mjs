// A Forge of the test's own: a server, agents and their folders. Every process is known by its id and ended at the end.
import { spawn, execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const hearth = process.env.HEARTH ?? path.join(root, 'build/hearth');
// Flags of an agent whose jobs save themselves: it need not try CRIU when it starts, which takes a second of a core.
export const noProcessesSaved = ['--criu', '/none'];
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export async function until(what, ms, check) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${ms} ms in vain: ${what}`);
    await sleep(50);
  }
}

function allProcesses(wanted) {
  return fs.readdirSync('/proc').filter((entry) => /^\d+$/.test(entry)).map(Number).filter((pid) => {
    try {
      return wanted(`/proc/${pid}`);
    } catch {
      return false;  // it is gone
    }
  });
}

// A house for the length of `body`; what its programs said last goes with an error.
export async function inHouse(flags, body) {
  const house = new House(flags);
  try {
    await house.startServer();
    await body(house);
  } catch (error) {
    const tail = (name) => house.log(name).split('\n').slice(-15).join('\n');
    const logs = fs.readdirSync(house.dir).filter((name) => name.endsWith('.log')).map((name) => `--- ${name}\n${tail(name)}`);
    error.message += `\n${logs.join('\n')}`;
    throw error;
  } finally {
    await house.close();
  }
}

export class House {
  constructor(flags = []) {
    this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'hearth-forge-'));
    this.data = path.join(this.dir, 'server');
    this.flags = flags;
    this.agents = new Map();
    this.children = new Set();
    this.port = 0;
  }

  start(words, log, env = process.env) {
    const out = fs.openSync(path.join(this.dir, log), 'a');
    const child = spawn(hearth, words, { env, stdio: ['ignore', out, out] });
    fs.closeSync(out);
    this.children.add(child);
    child.on('exit', () => this.children.delete(child));
    return child;
  }

  async startServer() {
    this.server = this.start(['forge', 'server', '--data', this.data, '--port', String(this.port), ...this.flags], 'server.log');
    const url = await until('the server to listen', 20000, async () => {
      if (this.server.exitCode !== null) throw new Error(`the server ended:\n${this.log('server.log')}`);
      const file = path.join(this.data, 'forge.url');
      if (!fs.existsSync(file)) return null;
      const url = fs.readFileSync(file, 'utf8').trim();
      return (await fetch(`${url}/healthz`).catch(() => null))?.ok ? url : null;
    });
    this.url = url;
    this.port = Number(new URL(url).port);
    this.token = fs.readFileSync(path.join(this.data, 'forge.token'), 'utf8').trim();
  }

  startAgent(name, devices, flags = noProcessesSaved) {
    const words = ['forge', 'agent', '--url', this.url, '--token-file', path.join(this.data, 'forge.token'), '--node', name,
      '--devices', String(devices), '--state', path.join(this.dir, name), ...flags];
    this.agents.set(name, { devices, child: this.start(words, `${name}.log`) });
  }

  log(name) {
    return fs.readFileSync(path.join(this.dir, name), 'utf8');
  }

  cli(...words) {
    return execFileSync(hearth, ['--log-level', 'warn', 'forge', words[0], '--data', this.data, ...words.slice(1)], { encoding: 'utf8' });
  }

  async api(method, where, body) {
    const answer = await fetch(`${this.url}/v1/forge/${where}`, {
      method, headers: { Authorization: `Bearer ${this.token}` }, body: body && JSON.stringify(body),
    });
    const json = await answer.json();
    if (!answer.ok) throw new Error(json.error.message);
    return json;
  }

  submit(job) {
    return this.api('POST', 'jobs', job).then((line) => line.id);
  }

  job(id) {
    return this.api('GET', `jobs/${id}`);
  }

  async over(id, ms = 60000) {
    return until(`job ${id} to end`, ms, async () => {
      const job = await this.job(id).catch(() => null);
      return job && ['succeeded', 'failed', 'cancelled'].includes(job.state) ? job : null;
    });
  }

  // Processes that run this house's files, by what /proc says of them.
  processes(pattern) {
    return this.processesOf((words) => words.some((word) => word.includes(this.dir)) && words.some((word) => pattern.test(word)));
  }

  processesOf(wanted) {
    return allProcesses((folder) => wanted(fs.readFileSync(`${folder}/cmdline`, 'utf8').split('\0')));
  }

  // Processes that work in a folder.
  inFolder(where) {
    return allProcesses((folder) => fs.readlinkSync(`${folder}/cwd`) === where);
  }

  // Processes that work in a folder of this house.
  inFolders() {
    return allProcesses((folder) => fs.readlinkSync(`${folder}/cwd`).startsWith(`${this.dir}/`));
  }

  // Workers of this house, by what they find in their environment.
  pids(wanted) {
    const found = [];
    for (const name of fs.readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
      try {
        const environment = fs.readFileSync(`/proc/${name}/environ`, 'utf8').split('\0');
        const words = fs.readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
        if (fs.readlinkSync(`/proc/${name}/cwd`).startsWith(this.dir) && wanted(environment)) found.push({ pid: Number(name), words });
      } catch { /* it is gone */ }
    }
    return found;
  }

  async close() {
    for (const { child } of this.agents.values()) child.kill('SIGKILL');
    for (const child of this.children) child.kill('SIGKILL');
    this.server?.kill('SIGKILL');
    // Who is killed may just have started another: until nobody is left who could write here.
    await until('all of this house to be gone', 10_000, () => {
      const left = [...this.processes(/./), ...this.inFolders()];
      for (const pid of left) {
        try { process.kill(pid, 'SIGKILL'); } catch { /* it is gone */ }
      }
      return left.length === 0;
    });
    fs.rmSync(this.dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }

  // A program that counts, saves each step, can go on, and notices when it runs twice.
  counter(steps, pause = 0.1) {
    const file = path.join(this.dir, 'counter.sh');
    if (!fs.existsSync(file)) fs.writeFileSync(file, `
state=$1/$HEARTH_JOB steps=$2 pause=$3
mkdir -p "$state"
exec 9>"$state/lock"
flock -n -E 77 9  # or it is killed itself, which says nothing
[ $? != 77 ] || echo "job $HEARTH_JOB, epoch $HEARTH_EPOCH, runs beside another" >>"$1/violations"
echo "$HEARTH_EPOCH" >>"$state/epochs"
trap 'asked=1' TERM
n=$(cat "$state/n" 2>/dev/null || echo 0)
echo "epoch $HEARTH_EPOCH begins at $n with $HEARTH_WORLD_SIZE workers"
while [ "$n" -lt "$steps" ]; do
  sleep "$pause" & wait $!
  n=$((n + 1))
  echo "$n" >"$state/n.new"; mv "$state/n.new" "$state/n"
  echo "step $n"
  [ -z "$asked" ] || { echo saved; exit 3; }
done
echo "epoch $HEARTH_EPOCH" >>"$state/done"
`);
    const state = path.join(this.dir, 'state');
    fs.mkdirSync(state, { recursive: true });
    return ['bash', file, state, String(steps), String(pause)];
  }

  state(id, file) {
    const where = path.join(this.dir, 'state', String(id), file);
    return fs.existsSync(where) ? fs.readFileSync(where, 'utf8').trim().split('\n') : [];
  }

  violations() {
    const file = path.join(this.dir, 'state', 'violations');
    return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
  }
}
