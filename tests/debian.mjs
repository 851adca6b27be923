// Debian's packages for a test alone: unpacked into a folder that stays, nothing is installed.
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const cache = path.join(process.env.XDG_CACHE_HOME ?? path.join(os.homedir(), '.cache'), 'hearth-tests');

// The folder with the packages' files, { root }, or a line that says why there is none, { why }. It is named by the version of the
// first of them. `fetch`: they may be downloaded; `prepare` is called with a folder that is new.
export function unpacked(name, packages, { fetch = true, prepare = () => {} } = {}) {
  const [first] = packages;
  const version = spawnSync('apt-cache', ['show', '--no-all-versions', first], { encoding: 'utf8' }).stdout?.match(/^Version: (.*)$/m)?.[1];
  if (!version) return { why: `apt knows no package ${first} (apt-get update?)` };
  const root = path.join(cache, `${name}-${version.replaceAll(':', '_')}`);
  const done = path.join(root, 'complete');
  if (fs.existsSync(done)) return { root };
  if (!fetch) return { why: `no ${name} here; the slow tier fetches one` };
  fs.rmSync(root, { recursive: true, force: true });
  fs.mkdirSync(root, { recursive: true });
  const download = spawnSync('apt-get', ['download', '-qq', ...packages], { cwd: root, encoding: 'utf8' });
  if (download.status !== 0) return { why: `${packages.join(', ')} cannot be had: ${download.stderr.trim().split('\n')[0]}` };
  for (const file of fs.readdirSync(root)) execFileSync('dpkg', ['-x', path.join(root, file), root]);
  prepare(root);
  fs.writeFileSync(done, '');
  return { root };
}
