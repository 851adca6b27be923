// The files of this suite, several at once: they mostly wait, for leases to end and for killed programs to come back. Each has houses of its own;
// what only one process of a machine may do at a time, trying CRIU, is held apart by a lock of the program itself.
import { run } from 'node:test';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import report from '../reporter.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
// The longest first.
const names = ['replicas', 'council_replicas', 'etcd', 'links', 'network', 'forge', 'training', 'checkpoints', 'etcd_storm', 'etcd_auth'];
const files = names.map((name) => path.join(here, `${name}.test.mjs`));
// A file that hangs is ended and named.
const timeout = (process.env.HEARTH_SLOW === undefined ? 5 : 30) * 60_000;
const stream = run({ files, concurrency: 5, timeout });
stream.on('test:fail', () => { process.exitCode = 1; });
for await (const text of report(stream)) process.stdout.write(text);
