/** Mistakes in transactions that their simulation must find; see `planted-bugs.mjs`. */
export const transactionBugs = [
  {
    name: 'a node promises before its disk has kept it',
    file: 'transactions/record-store.js',
    from: 'await (known ?? this.#promise(preparation)).keeping;',
    to: 'known ?? this.#promise(preparation);',
  },
  {
    name: 'a node that is started anew has forgotten its promises',
    file: 'transactions/record-store.js',
    from: 'store.#hold(decodePreparation(value), Promise.resolve());',
    to: '{}',
  },
  {
    name: 'nobody looks whether what was read is still so',
    file: 'transactions/record-store.js',
    from: 'records.every(({ key, version }) => this.#versionOf(key) === version)',
    to: 'true',
  },
  {
    name: 'records are held by nobody',
    file: 'transactions/record-store.js',
    from: "return by.length > 0 ? { kind: 'blocked', by } : yes;",
    to: 'return yes;',
  },
  {
    name: 'who has read a record does not hold it',
    file: 'transactions/record-store.js',
    from: 'return change === undefined ? holders.filter((holder) => changes(holder, key)) : holders;',
    to: 'return holders.filter((holder) => changes(holder, key));',
  },
  {
    name: 'a record that is held is read as it was',
    file: 'transactions/record-store.js',
    from: "return { kind: 'blocked', by };\n        return { kind: 'is'",
    to: "{}\n        return { kind: 'is'",
  },
  {
    name: 'two come in between look and promise',
    file: 'transactions/record-store.js',
    from: "if (vote.kind !== 'yes')\n            return vote;",
    to: "if (vote.kind !== 'yes')\n            return vote;\n        await 0;",
  },
  {
    name: 'what is committed is let go before it is changed',
    file: 'transactions/record-store.js',
    from: 'await keeping;\n        const changed',
    to: 'await keeping;\n        this.#release(prepared);\n        const changed',
  },
  {
    name: 'one promise is enough',
    file: 'transactions/transactor.js',
    from: "votes.every(({ kind }) => kind === 'yes')",
    to: "votes.some(({ kind }) => kind === 'yes')",
  },
  {
    name: 'nodes whose records were only read are not asked',
    file: 'transactions/transactor.js',
    from: 'await this.#commit(parts, trouble, operation)',
    to: 'await this.#commit(parts.filter((part) => part.records.some((one) => one.change !== undefined)), trouble, operation)',
  },
  {
    name: 'who only reads does not look again',
    file: 'transactions/transactor.js',
    from: 'others.length === 0 && first.records.length === 1',
    to: 'true',
  },
  {
    name: 'a commit that is not answered was not made',
    file: 'transactions/transactor.js',
    from: 'const outcome = await this.#askFor(id, operation);',
    to: "const outcome = 'aborted';",
  },
  {
    name: 'a commit counts also when its driver is gone',
    file: 'transactions/decisions.js',
    from: '{ key: driversPrefix + driverId, version },',
    to: '',
  },
  {
    name: 'what is not committed is aborted while its driver is there',
    file: 'transactions/decisions.js',
    from: "driver.version === version ? 'unknown' : 'aborted'",
    to: "'aborted'",
  },
  {
    name: 'it is looked for the commit first, and then for the driver',
    file: 'transactions/decisions.js',
    from: 'const driver = await this.#coordinator.get(driversPrefix + driverId, options);',
    to: '',
    also: [
      {
        file: 'transactions/decisions.js',
        from: "if (committed.version > 0)\n            return 'committed';",
        to: "const driver = await this.#coordinator.get(driversPrefix + driverId, options);\n        if (committed.version > 0)\n            return 'committed';",
      },
    ],
  },
  {
    name: 'a commit is forgotten when the first node has followed it',
    file: 'transactions/settler.js',
    from: ' || own.left.size > 0',
    to: '',
  },
  {
    name: 'nobody looks for what is in doubt',
    file: 'transactions/settler.js',
    from: 'for (const { id, forMs } of await this.inDoubt(name))',
    to: 'for (const { id, forMs } of [])',
  },
];
