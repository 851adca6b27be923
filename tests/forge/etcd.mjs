// Several servers over a real etcd of the test's own: Debian's package unpacked into a folder (nothing is installed), one member or
// three. Every process is known by its id and ended at the end.
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';

import { unpacked } from '../debian.mjs';
import { freePort } from '../ports.mjs';
import { hearth, House, sleep, until } from './house.mjs';

// The program, or a line that says why there is none. `download`: it may be fetched.
export function findEtcd(download) {
  if (process.env.HEARTH_ETCD) return { program: process.env.HEARTH_ETCD };
  const installed = (process.env.PATH ?? '').split(':').map((folder) => path.join(folder, 'etcd')).find((file) => fs.existsSync(file));
  if (installed) return { program: installed };
  const { root, why } = unpacked('etcd', ['etcd-server'], { fetch: download });
  return root ? { program: path.join(root, 'usr/bin/etcd') } : { why };
}

// What a site's own authority would hand out: a certificate for the members, and one for Forge's servers. etcd's gateway talks to its
// own member, so the members' serves both ways.
function makeCertificates(dir) {
  const file = (name) => path.join(dir, name);
  const openssl = (...words) => execFileSync('openssl', words, { stdio: ['ignore', 'ignore', 'pipe'] });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl('req', '-x509', ...newKey, '-days', '2', '-subj', '/CN=test authority', '-keyout', file('ca.key'), '-out', file('ca.pem'));
  for (const [name, names] of [['member', 'subjectAltName=IP:127.0.0.1,DNS:localhost'], ['forge', 'subjectAltName=DNS:forge']]) {
    openssl('req', ...newKey, '-subj', '/O=test', '-keyout', file(`${name}.key`), '-out', file(`${name}.csr`));
    fs.writeFileSync(file(`${name}.ext`), `${names}\nextendedKeyUsage=serverAuth,clientAuth\n`);
    openssl('x509', '-req', '-in', file(`${name}.csr`), '-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-CAcreateserial', '-days', '2',
      '-extfile', file(`${name}.ext`), '-out', file(`${name}.pem`));
  }
  return { ca: file('ca.pem'), member: [file('member.pem'), file('member.key')], forge: [file('forge.pem'), file('forge.key')] };
}

export class EtcdCluster {
  // `secured`: members take nobody without a certificate, and nobody without a password.
  constructor(program, dir, size, secured = false) {
    Object.assign(this, { program, dir, members: new Map() });
    if (secured) this.certificates = makeCertificates(dir);
    this.names = Array.from({ length: size }, (_, i) => `etcd${i}`);
  }

  async start() {
    this.ports = new Map();
    for (const name of this.names) this.ports.set(name, { client: await freePort(), peer: await freePort() });
    for (const name of this.names) this.startMember(name);
    await until('etcd to have a leader', 30000, async () => (await this.health()) === this.names.length);
  }

  url(name, kind = 'client') {
    const scheme = this.certificates && kind === 'client' ? 'https' : 'http';
    return `${scheme}://127.0.0.1:${this.ports.get(name)[kind]}`;
  }

  get urls() {
    return this.names.map((name) => this.url(name)).join(',');
  }

  startMember(name) {
    const out = fs.openSync(path.join(this.dir, `${name}.log`), 'a');
    const child = spawn(this.program, ['--name', name, '--data-dir', path.join(this.dir, `${name}.data`),
      '--listen-client-urls', this.url(name), '--advertise-client-urls', this.url(name),
      '--listen-peer-urls', this.url(name, 'peer'), '--initial-advertise-peer-urls', this.url(name, 'peer'),
      '--initial-cluster', this.names.map((each) => `${each}=${this.url(each, 'peer')}`).join(','),
      '--heartbeat-interval', '100', '--election-timeout', '1000', ...this.memberFlags()], { stdio: ['ignore', out, out] });
    fs.closeSync(out);
    this.members.set(name, child);
  }

  memberFlags() {
    if (!this.certificates) return [];
    const { ca, member: [cert, key] } = this.certificates;
    return ['--cert-file', cert, '--key-file', key, '--client-cert-auth', '--trusted-ca-file', ca];
  }

  // What a server of Forge has to be told.
  get flags() {
    if (!this.certificates) return ['--etcd', this.urls];
    const { ca, forge: [cert, key] } = this.certificates;
    return ['--etcd', this.urls, '--etcd-ca', ca, '--etcd-cert', cert, '--etcd-key', key,
      '--etcd-user', 'forge', '--etcd-password-file', path.join(this.dir, 'password')];
  }

  // With Forge's certificate, where one is wanted.
  ask(name, where, body, timeout = 2000) {
    const tls = this.certificates && {
      ca: fs.readFileSync(this.certificates.ca), cert: fs.readFileSync(this.certificates.forge[0]), key: fs.readFileSync(this.certificates.forge[1]),
    };
    return new Promise((resolve, reject) => {
      const { request } = tls ? https : http;
      const ask = request(`${this.url(name)}${where}`, { method: body ? 'POST' : 'GET', timeout, ...tls }, (answer) => {
        let text = '';
        answer.on('data', (part) => { text += part; }).on('error', reject).on('end', () => {
          if (answer.statusCode >= 300) return reject(new Error(`${where}: ${answer.statusCode} ${text}`));
          return resolve(JSON.parse(text));
        });
      });
      ask.on('timeout', () => ask.destroy(new Error('timeout'))).on('error', reject);
      ask.end(body && JSON.stringify(body));
    });
  }

  // A user for Forge who may read and write Forge's own keys and nothing else.
  async demandPasswords(password) {
    fs.writeFileSync(path.join(this.dir, 'password'), `${password}\n`, { mode: 0o600 });
    const base64 = (text) => Buffer.from(text).toString('base64');
    const [name] = this.names;
    const auth = (what, body) => this.ask(name, `/v3/auth/${what}`, body, 20000);  // passwords take long, on purpose
    for (const [user, word] of [['root', 'of the test'], ['forge', password]]) await auth('user/add', { name: user, password: word });
    for (const role of ['root', 'forge']) await auth('role/add', { name: role });
    await auth('role/grant', { name: 'forge', perm: { permType: 'READWRITE', key: base64('/hearth/forge/'), range_end: base64('/hearth/forge0') } });
    for (const user of ['root', 'forge']) await auth('user/grant', { user, role: user });
    await auth('enable', {});
  }

  async health() {
    const answers = await Promise.all(this.names.map((name) => this.ask(name, '/health').catch(() => null)));
    return answers.filter((answer) => answer?.health === 'true').length;
  }

  kill(name) {
    this.members.get(name).kill('SIGKILL');
  }

  close() {
    for (const child of this.members.values()) child.kill('SIGKILL');
  }
}

// A house with several servers. Requests go to whichever answers, and from there to the one that decides.
export class Council extends House {
  constructor(flags = []) {
    super(flags);
    this.servers = new Map();
  }

  async open(program, members, servers, password) {
    this.etcd = new EtcdCluster(program, this.dir, members, password !== undefined);
    await this.etcd.start();
    if (password) await this.etcd.demandPasswords(password);
    for (let i = 0; i < servers; ++i) await this.startOne(`server${i}`);
    this.data = path.join(this.dir, 'server0');
    this.token = fs.readFileSync(path.join(this.data, 'forge.token'), 'utf8').trim();
    this.url = [...this.servers.values()].map(({ url }) => url).join(',');
    await until('a server to decide', 20000, () => this.leader());
  }

  async startOne(name) {
    const data = path.join(this.dir, name);
    const port = this.servers.get(name)?.port ?? 0;
    const child = this.start(['forge', 'server', '--data', data, '--port', String(port), ...this.etcd.flags, ...this.flags], `${name}.log`);
    const url = await until(`${name} to listen`, 20000, async () => {
      if (child.exitCode !== null) throw new Error(`${name} ended:\n${this.log(`${name}.log`)}`);
      const file = path.join(data, 'forge.url');
      const written = fs.existsSync(file) ? fs.readFileSync(file, 'utf8').trim() : null;
      return written && (await fetch(`${written}/healthz`, { signal: AbortSignal.timeout(2000) }).catch(() => null))?.ok ? written : null;
    });
    this.servers.set(name, { child, url, port: Number(new URL(url).port) });
  }

  ask(url, method, where, body) {
    return fetch(`${url}/v1/forge/${where}`, {
      method, redirect: 'manual', signal: AbortSignal.timeout(3000), headers: { Authorization: `Bearer ${this.token}` }, body: body && JSON.stringify(body),
    });
  }

  // The name of the server that answers for all, or null.
  async leader() {
    const answers = await Promise.all([...this.servers].map(async ([name, { url }]) =>
      ((await this.ask(url, 'GET', 'state').catch(() => null))?.status === 200 ? name : null)));
    const leading = answers.filter(Boolean);
    if (leading.length > 1) throw new Error(`two servers decide: ${leading}`);
    return leading[0] ?? null;
  }

  async api(method, where, body) {
    return until(`an answer to ${method} ${where}`, 30000, async () => {
      for (const { url } of this.servers.values()) {
        const answer = await this.ask(url, method, where, body).catch(() => null);
        if (!answer || answer.headers.has('Forge-Leader')) continue;
        const json = await answer.json();
        if (!answer.ok) throw new Error(json.error.message);
        return json;
      }
      return null;
    });
  }

  cli(...words) {
    return execFileSync(hearth, ['--log-level', 'warn', 'forge', words[0], '--url', this.url, '--token', this.token, ...words.slice(1)],
      { encoding: 'utf8' });
  }

  async close() {
    for (const { child } of this.servers.values()) child.kill('SIGKILL');
    this.etcd?.close();
    await super.close();
  }
}

// A council for the length of `body`; what its programs said last goes with an error.
export async function inCouncil({ program, members = 1, servers = 3, flags = [], password }, body) {
  const council = new Council(flags);
  try {
    await council.open(program, members, servers, password);
    await body(council);
  } catch (error) {
    const tail = (name) => council.log(name).split('\n').slice(-12).join('\n');
    const logs = fs.readdirSync(council.dir).filter((name) => name.endsWith('.log') && !name.startsWith('etcd'));
    error.message += `\n${logs.map((name) => `--- ${name}\n${tail(name)}`).join('\n')}`;
    throw error;
  } finally {
    await council.close();
    await sleep(50);
  }
}
