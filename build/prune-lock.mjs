// Run by `npm run lock`, after npm has written the lock file.
//
// Packages with native parts name one optional package for each platform. A registry mirror may not
// carry all of those (wasm, Windows, Android …); npm then leaves them out of the lock file but keeps
// their names in the parent's list, and `npm ci` refuses such a lock file on every machine. Cistern
// runs on Linux, so the names without an entry are dropped from the lists, and everything Linux on
// x64 and arm64 needs must be there.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const lockPath = fileURLToPath(new URL('../package-lock.json', import.meta.url));
const lock = JSON.parse(readFileSync(lockPath, 'utf8'));
const required = /linux-(x64|arm64)(-gnu|-glibc)?$/;
// Only a faster string decoder; cbor-x goes on without it.
const spare = /^@cbor-extract\//;
const missing = [];
let dropped = 0;

for (const [location, entry] of Object.entries(lock.packages)) {
  delete entry.resolved;
  for (const name of Object.keys(entry.optionalDependencies ?? {})) {
    if (`${location}/node_modules/${name}` in lock.packages) continue;
    if (`node_modules/${name}` in lock.packages) continue;
    if (required.test(name) && !spare.test(name)) missing.push(name);
    delete entry.optionalDependencies[name];
    dropped += 1;
  }
  if (entry.optionalDependencies && Object.keys(entry.optionalDependencies).length === 0) {
    delete entry.optionalDependencies;
  }
}

if (missing.length > 0) {
  console.error(`the lock file lacks packages that Linux needs: ${missing.join(', ')}`);
  process.exit(1);
}
writeFileSync(lockPath, `${JSON.stringify(lock, null, 2)}\n`);
console.log(`package-lock.json: ${dropped} optional packages of other platforms left out`);
