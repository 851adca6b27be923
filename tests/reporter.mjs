// What a suite of node --test prints: one line a failure, one line at the end, with the name of its folder.
import path from 'node:path';

export default async function* report(source) {
  let passed = 0;
  let failed = 0;
  let skipped = 0;
  for await (const event of source) {
    if (event.type === 'test:pass' && event.data.skip !== undefined) ++skipped;
    else if (event.type === 'test:pass') ++passed;
    if (event.type === 'test:fail') {
      ++failed;
      const cause = event.data.details.error?.cause ?? event.data.details.error;
      yield `  FAIL ${event.data.name}\n${String(cause?.stack ?? cause).split('\n').map((line) => `    ${line}`).join('\n')}\n`;
    }
    if (event.type === 'test:stderr' || event.type === 'test:stdout') yield event.data.message;
  }
  yield `  ${path.basename(process.cwd())}: ${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ''}\n`;
}
