/**
 * Makes one CommonJS file of each module that a worker thread starts with. A thread may be terminated while it loads, and Node (20.20) has a
 * hole in either way to load ES modules then: `import` leaves files open, `require` aborts the process. CommonJS has neither, and one
 * file is ready sooner. Packages stay outside.
 */
export default ['thread-entry', 'worker-entry'].map((name) => ({
  input: `./dist/node/${name}.js`,
  output: { file: `./dist/node/${name}.cjs`, format: 'cjs', strict: true },
  platform: 'node',
  external: /^[^./]/,
}));
