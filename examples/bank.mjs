import { Net, Node } from 'paipainet';

// Accounts on three nodes, and many who move money between them at the same time: all of it is always there.
const net = new Net();
for (const id of ['a', 'b', 'c']) net.addNode(new Node(id));
await net.start();

const accounts = Array.from({ length: 12 }, (_, at) => `account/${at}`);

/** Moves the amount, or throws and moves nothing. */
const move = (from, to, amount) =>
  net.transaction(async (tx) => {
    const [payer, payee] = await Promise.all([tx.get(from), tx.get(to)]);
    if (payer.balance < amount) throw new Error(`${from} has only ${payer.balance}`);
    tx.set(from, { balance: payer.balance - amount });
    tx.set(to, { balance: payee.balance + amount });
  });

const total = () =>
  net.transaction(async (tx) => {
    const all = await Promise.all(accounts.map((key) => tx.get(key)));
    return all.reduce((sum, { balance }) => sum + balance, 0);
  });

try {
  await net.transaction((tx) => {
    for (const key of accounts) tx.set(key, { balance: 100 });
  });
  let moved = 0;
  let refused = 0;
  const teller = async (at) => {
    for (let count = 0; count < 25; count++) {
      const from = accounts[(at * 5 + count) % accounts.length];
      const to = accounts[(at * 7 + count * 3 + 1) % accounts.length];
      if (from === to) continue;
      await move(from, to, 10 + ((at * count) % 60)).then(
        () => moved++,
        () => refused++,
      );
    }
  };
  await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map(teller));
  console.log(`${moved} moves, ${refused} refused`);
  console.log(`in all accounts: ${await total()}`);
} finally {
  await net.close();
}
