import { expect, test } from 'vitest';
import type { Change } from '../../../dist/coordination/coordinator.js';
import { describeBackends, setAll, startWorld, text } from './worlds.js';

describeBackends((backend) => {
  test('tells of what was and of what comes, in order', async () => {
    const { one, other } = await startWorld(backend, 2);
    const { version } = await setAll(one, 'a', ['1', '2']);
    await setAll(one, 'b', ['not of a']);
    const watch = other.watch('a', { after: 0 });
    const deleting = one.compareAndSet('a', version, undefined);
    const told: Change[] = [];
    for await (const change of watch) {
      told.push(change);
      if (told.length === 3) await setAll(one, 'a', ['3']);
      if (told.length === 4) break;
    }
    expect((await deleting).isSet).toBe(true);
    expect(told.map(({ value }) => text(value))).toEqual(['1', '2', undefined, '3']);
    expect(told.every(({ key }) => key === 'a')).toBe(true);
    const versions = told.map(({ version }) => version);
    expect(versions).toEqual([...new Set(versions)].sort((a, b) => a - b));
    expect(await watch.next()).toEqual({ done: true, value: undefined });
  });

  test('begins behind a state, of a key that is there or is not', async () => {
    const { one } = await startWorld(backend);
    const absent = await one.get('a');
    const fromAbsent = one.watch('a', { after: absent.asOf });
    const state = await setAll(one, 'a', ['1']);
    const fromState = one.watch('a', { after: state.asOf });
    await setAll(one, 'a', ['2']);
    expect(text((await fromAbsent.next()).value.value)).toBe('1');
    expect(text((await fromAbsent.next()).value.value)).toBe('2');
    expect(text((await fromState.next()).value.value)).toBe('2');
    await Promise.all([fromAbsent.return(), fromState.return()]);
  });

  test('answers several who wait, in their order', async () => {
    const { one } = await startWorld(backend);
    const watch = one.watch('a', { after: 0 });
    const waiting = [watch.next(), watch.next(), watch.next()];
    await setAll(one, 'a', ['1', '2']);
    const told = await Promise.all(waiting.slice(0, 2));
    expect(told.map(({ value }) => text(value.value))).toEqual(['1', '2']);
    await watch.return();
    expect((await waiting[2])?.done).toBe(true);
  });

  test('says so when what it was to tell is gone, and a state gives a fresh start', async () => {
    const { one, world } = await startWorld(backend);
    await setAll(one, 'a', ['1', '2']);
    await world.forgetHistory();
    const late = one.watch('a', { after: 0 });
    await expect(late.next()).rejects.toMatchObject({ code: 'PAIPAI_ERR_HISTORY_GONE' });
    expect((await late.next()).done).toBe(true);
    for (const key of ['a', 'never set']) {
      const { asOf } = await one.get(key);
      const fresh = one.watch(key, { after: asOf });
      await setAll(one, key, ['3']);
      expect(text((await fresh.next()).value.value)).toBe('3');
      await fresh.return();
    }
  });

  test('a key that was forgotten and is set again does not hide what is gone', async () => {
    const { one, world } = await startWorld(backend);
    const { version } = await setAll(one, 'a', ['1']);
    await one.compareAndSet('a', version, undefined);
    await world.forgetHistory();
    await setAll(one, 'a', ['2']);
    const late = one.watch('a', { after: 0 });
    await expect(late.next()).rejects.toMatchObject({ code: 'PAIPAI_ERR_HISTORY_GONE' });
  });

  test('one that waits loses nothing when history is forgotten', async () => {
    const { one, world } = await startWorld(backend);
    const { version } = await setAll(one, 'a', ['1']);
    const { asOf } = await one.compareAndSet('a', version, undefined);
    const watches = ['a', 'b'].map((key) => one.watch(key, { after: asOf }));
    const waiting = watches.map((watch) => watch.next());
    await world.forgetHistory();
    await setAll(one, 'a', ['2']);
    await setAll(one, 'b', ['2']);
    const told = await Promise.all(waiting);
    expect(told.map(({ value }) => text(value.value))).toEqual(['2', '2']);
    for (const watch of watches) await watch.return();
  });

  test('an abort ends it, while it waits, before it begins and while nobody asks', async () => {
    const { one } = await startWorld(backend);
    const aborted = { code: 'PAIPAI_ERR_ABORTED', cause: 'enough' };
    const stop = new AbortController();
    const watch = one.watch('a', { after: 0, signal: stop.signal });
    const unread = one.watch('a', { after: 0, signal: stop.signal });
    const waiting = [watch.next(), watch.next()];
    stop.abort('enough');
    await expect(waiting[0]).rejects.toMatchObject(aborted);
    expect((await waiting[1])?.done).toBe(true);
    await expect(unread.next()).rejects.toMatchObject(aborted);
    expect((await unread.next()).done).toBe(true);
    const stillborn = one.watch('a', { after: 0, signal: stop.signal });
    await expect(stillborn.next()).rejects.toMatchObject(aborted);
  });
});
