// A Slurm of the test's own: Debian's packages unpacked into a folder (nothing is installed), munge with its own key and socket, a
// slurmctld and several slurmd with made-up GPUs on this machine. Every process is known by its id and ended at the end.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { unpacked } from '../debian.mjs';
import { sleep, until } from '../forge/house.mjs';
import { freePort } from '../ports.mjs';

const packages = ['slurmctld', 'munge', 'slurm-client', 'slurm-wlm-basic-plugins', 'slurmd'];

// The folder with the packages' files, or a line that says why there is none.
export function unpackSlurm() {
  if (process.getuid() !== 0) return { why: 'slurmd needs root' };
  // By which name they are called decides what they read.
  const prepare = (root) => {
    for (const program of ['slurmctld', 'slurmd', 'slurmstepd']) fs.symlinkSync(`${program}-wlm`, path.join(root, 'usr/sbin', program));
  };
  return unpacked('slurm', packages, { prepare });
}

export class Munge {
  constructor(root, dir) {
    this.root = root;
    this.dir = path.join(dir, 'munge');
    fs.mkdirSync(this.dir, { mode: 0o755 });
    this.socket = path.join(this.dir, 'socket');
  }

  async start() {
    fs.writeFileSync(path.join(this.dir, 'key'), Buffer.from(Array.from({ length: 128 }, (_, i) => (i * 37 + Date.now()) % 256)), { mode: 0o600 });
    const file = (name) => path.join(this.dir, name);
    this.child = spawn(path.join(this.root, 'usr/sbin/munged'), ['--foreground', '--force', '--num-threads=2', `--socket=${this.socket}`,
      `--key-file=${file('key')}`, `--pid-file=${file('pid')}`, `--log-file=${file('log')}`, `--seed-file=${file('seed')}`], { stdio: 'ignore' });
    await until('munge to listen', 10000, () => fs.existsSync(this.socket));
  }

  stop() {
    this.child?.kill('SIGKILL');
  }
}

// One region: a controller and its nodes, each with so many GPUs.
export class Region {
  constructor(root, munge, dir, name, nodes, gpus) {
    Object.assign(this, { root, munge, name, nodes, gpus });
    this.dir = path.join(dir, `slurm-${name}`);
    this.conf = path.join(this.dir, 'slurm.conf');
    this.bin = path.join(root, 'usr/bin');
    this.slurmds = new Map();
  }

  get env() {
    return { ...process.env, SLURM_CONF: this.conf, LD_LIBRARY_PATH: path.join(this.root, 'usr/lib/x86_64-linux-gnu/slurm-wlm') };
  }

  nodeNames() {
    return Array.from({ length: this.nodes }, (_, i) => `${this.name}${i}`);
  }

  async start() {
    fs.mkdirSync(path.join(this.dir, 'dev'), { recursive: true });
    const plugins = path.join(this.root, 'usr/lib/x86_64-linux-gnu/slurm-wlm');
    const ports = [];
    for (let i = 0; i <= this.nodes; ++i) ports.push(await freePort());
    for (let i = 0; i < this.gpus; ++i) execFileSync('mknod', [path.join(this.dir, 'dev', `gpu${i}`), 'c', '1', '3']);
    fs.writeFileSync(this.conf, [
      `ClusterName=${this.name}`, 'SlurmctldHost=localhost', `SlurmctldPort=${ports[0]}`, 'SlurmUser=root',
      'AuthType=auth/munge', `AuthInfo=socket=${this.munge.socket},cred_expire=5`, 'CredType=cred/munge', `PluginDir=${plugins}`,
      `StateSaveLocation=${this.dir}/state`, `SlurmdSpoolDir=${this.dir}/spool.%n`, `SlurmctldPidFile=${this.dir}/slurmctld.pid`,
      `SlurmdPidFile=${this.dir}/slurmd.%n.pid`, `SlurmctldLogFile=${this.dir}/slurmctld.log`, `SlurmdLogFile=${this.dir}/slurmd.%n.log`,
      'ProctrackType=proctrack/linuxproc', 'TaskPlugin=task/none', 'SelectType=select/cons_tres', 'SelectTypeParameters=CR_Core',
      'MpiDefault=none', 'SwitchType=switch/none', 'JobAcctGatherType=jobacct_gather/none', 'ReturnToService=2', 'SlurmdParameters=config_overrides',
      'SlurmdTimeout=10', 'KillWait=3', 'MinJobAge=60', 'InactiveLimit=0', 'SchedulerParameters=sched_interval=1,batch_sched_delay=0',
      'GresTypes=gpu',
      ...this.nodeNames().map((name, i) => `NodeName=${name} NodeHostname=localhost NodeAddr=127.0.0.1 Port=${ports[i + 1]} CPUs=${2 * this.gpus} ` +
        `RealMemory=4000 Gres=gpu:${this.gpus} State=UNKNOWN`),
      `PartitionName=all Nodes=${this.nodeNames().join(',')} Default=YES MaxTime=INFINITE State=UP`, ''].join('\n'));
    fs.writeFileSync(path.join(this.dir, 'gres.conf'), `AutoDetect=off\n${this.nodeNames().map((name) =>
      `NodeName=${name} Name=gpu File=${this.dir}/dev/gpu[0-${this.gpus - 1}] Flags=nvidia_gpu_env`).join('\n')}\n`);
    fs.mkdirSync(path.join(this.dir, 'state'), { recursive: true });
    this.startController();
    for (const name of this.nodeNames()) this.startNode(name);
    await until(`the nodes of ${this.name} to be idle`, 60000, async () => {
      await sleep(300);
      const states = this.slurm('sinfo', '-h', '-N', '-o', '%N %T').trim().split('\n');
      return states.length === this.nodes && states.every((line) => line.endsWith(' idle'));
    });
  }

  run(program, words, log) {
    const out = fs.openSync(path.join(this.dir, log), 'a');
    const child = spawn(path.join(this.root, 'usr/sbin', program), words, { env: this.env, stdio: ['ignore', out, out] });
    fs.closeSync(out);
    return child;
  }

  startController() {
    this.controller = this.run('slurmctld', ['-D', '-f', this.conf], 'slurmctld.out');
  }

  startNode(name) {
    this.slurmds.set(name, this.run('slurmd', ['-D', '-N', name, '-f', this.conf, '-d', path.join(this.root, 'usr/sbin/slurmstepd')], `slurmd.${name}.out`));
  }

  slurm(program, ...words) {
    const done = spawnSync(path.join(this.bin, program), words, { env: this.env, encoding: 'utf8', timeout: 20000 });
    return done.status === 0 ? done.stdout : '';
  }

  stop() {
    this.controller?.kill('SIGKILL');
    for (const slurmd of this.slurmds.values()) slurmd.kill('SIGKILL');
  }
}
