import { expect, test } from 'vitest';
import {
  type Handler,
  type HandlerModule,
  loadHandlers,
} from '../../../dist/processing/handlers.js';

const builtIn = new Map<string, Handler>([['digest', { process: () => 1 }]]);

function moduleOf(source: string): string {
  return `data:text/javascript,${encodeURIComponent(source)}`;
}

async function load(source: string): Promise<HandlerModule> {
  return loadHandlers(moduleOf(source), builtIn);
}

test('functions and objects with process are handlers, beside the built-in ones', async () => {
  const { handlers } = await load(`
    export function count(shard) { return shard.length }
    count.merge = (a, b) => a + b;
    export const sum = { process: () => 2, merge: (a, b) => a * b };
    export const plain = () => 3;
    export default () => 4;
  `);
  expect([...handlers.keys()].sort()).toEqual(['count', 'default', 'digest', 'plain', 'sum']);
  expect(handlers.get('count')?.merge?.(2, 3)).toBe(5);
  expect(handlers.get('sum')?.merge?.(2, 3)).toBe(6);
  expect(handlers.get('plain')).not.toHaveProperty('merge');
});

test('other exports are left alone', async () => {
  const { handlers } = await load(
    'export const limit = 3, table = {}, none = null; export const a = () => 1;',
  );
  expect([...handlers.keys()]).toEqual(['digest', 'a']);
});

test('onMessage has the handlers of messages, alone or beside others', async () => {
  const { handlers, topics } = await load(
    "export const onMessage = { 'price.changed': () => 1, b() {} };",
  );
  expect([...topics.keys()]).toEqual(['price.changed', 'b']);
  expect([...handlers.keys()]).toEqual(['digest']);
  const both = await load('export const onMessage = { a() {} }; export const a = () => 1;');
  expect([...both.topics.keys(), ...both.handlers.keys()]).toEqual(['a', 'digest', 'a']);
});

test('without a module there are the built-in ones', async () => {
  const { handlers, topics } = await loadHandlers(undefined, builtIn);
  expect([...handlers.keys()]).toEqual(['digest']);
  expect(topics.size).toBe(0);
});

test.each([
  ['has a syntax error', 'export const ='],
  ['throws', "throw new TypeError('no')"],
  ['imports what is not there', "import 'file:///nowhere/at/all.mjs'"],
  ['exports no handler', 'export const a = 1'],
  ['exports nothing', ''],
  ['has a process that is no function', 'export const a = { process: 1 }'],
  ['has a merge that is no function', 'export const a = { process() {}, merge: {} }'],
  ['has a merge that is no function on a function', 'export const a = () => 1; a.merge = 1'],
  ['has an onMessage that is a function', 'export function onMessage() {}'],
  ['has an onMessage with what is no function', 'export const onMessage = { a: 1 }'],
  ['has an onMessage without a topic', "export const onMessage = { '': () => 1 }"],
  ['has an empty onMessage and no handler', 'export const onMessage = {}'],
  ['exports a built-in name', 'export const digest = () => 1'],
])('a module that %s cannot be loaded', async (_how, source) => {
  await expect(load(source)).rejects.toMatchObject({
    code: 'PAIPAI_ERR_HANDLER_MODULE',
    message: expect.stringContaining('data:text/javascript'),
  });
});
