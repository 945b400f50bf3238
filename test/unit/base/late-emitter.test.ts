import { EventEmitter, once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { LateEmitter } from '../../../dist/base/late-emitter.js';

class Ours extends LateEmitter<{ event: [value: number] }> {}

describe('an emitter that makes its table late', () => {
  test('listens and emits', async () => {
    const ours = new Ours();
    const heard: number[] = [];
    ours.on('event', (value) => heard.push(value));
    ours.prependOnceListener('event', (value) => heard.push(-value));
    expect(ours.emit('event', 1)).toBe(true);
    expect(ours.emit('event', 2)).toBe(true);
    expect(heard).toEqual([-1, 1, 2]);
    const told = once(ours, 'event');
    ours.emit('event', 3);
    expect(await told).toEqual([3]);
  });

  test('without a listener it answers as any other', () => {
    const ours = new Ours();
    expect(ours).toBeInstanceOf(EventEmitter);
    expect(Object.keys(ours)).toEqual([]);
    expect(ours.emit('event', 1)).toBe(false);
    expect(ours.listenerCount('event')).toBe(0);
    expect(ours.listeners('event')).toEqual([]);
    expect(ours.eventNames()).toEqual([]);
    expect(ours.getMaxListeners()).toBe(EventEmitter.defaultMaxListeners);
    expect(ours.off('event', () => {})).toBe(ours);
    expect(ours.removeAllListeners()).toBe(ours);
    expect(() => (ours as EventEmitter).emit('error', new Error('unheard'))).toThrow('unheard');
  });

  test('two have nothing in common', () => {
    const [one, other] = [new Ours(), new Ours()];
    one.on('event', () => {});
    expect(other.listenerCount('event')).toBe(0);
    expect(new EventEmitter().listenerCount('event')).toBe(0);
  });
});
