import { expect, test } from 'vitest';
import { Lateness } from '../../../dist/processing/lateness.js';

test('nothing is late before something has ended, then what takes twice as long by its size', () => {
  const lateness = new Lateness();
  expect(lateness.lateMs(1_000)).toBe(Infinity);
  lateness.add(1_000, 2);
  lateness.add(200);
  expect(lateness.lateMs()).toBe(800);
  expect(lateness.lateMs(3)).toBe(2_400);
});

test('nothing is late before 250 ms', () => {
  const lateness = new Lateness();
  lateness.add(1);
  expect(lateness.lateMs(5)).toBe(250);
});
