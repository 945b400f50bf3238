/**
 * Where every thread of ours starts; its `argv` is the module to run. `require` reads modules at once. Node's `import` opens their files in
 * the background, and of a thread that is terminated meanwhile it leaves them open (seen in Node 20.20).
 */

const { pathToFileURL } = require('node:url');

const { argv, features } = process;
const entry = argv[2] as string; // Given by startThread.
if (features.require_module) require(entry);
else void import(pathToFileURL(entry).href);
