// Coordination: one interface on several backends, and what is built on it, while processes are killed, stand still, and come back.

import { suite } from './support.mjs';

const whole = { isWhole: true };

export const checks = [
  suite(
    'the same promises hold on every backend, one file for each',
    ['test/contract/coordination'],
    whole,
  ),
  suite(
    'locks, leases and elections hold while holders and coordinators are killed, stand still and come back',
    ['test/fault/locks.test.ts', 'test/unit/coordination'],
    { ...whole, fullOnly: true },
  ),
  suite(
    'etcd: members that die or stand still, wrong passwords, certificates, limits, two nets on one',
    ['test/fault/etcd.test.ts'],
    whole,
  ),
];
