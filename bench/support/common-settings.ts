import { addonObstacle } from './addon.js';
import { messageBytesMax } from './content.js';
import { canPin, descriptorsMax } from './machine.js';
import type { Case, Settings } from './types.js';

/** Settings that several cases have. */

export const messageBytesSetting: Case['settings'] = {
  'message-bytes': {
    fallback: '64',
    help: 'payload',
    step: 4,
    most: messageBytesMax,
  },
};

/** On one where programs can be told to, unless a case says otherwise. */
export function cpusSetting(fallback: '1' | '2' = canPin ? '1' : '2'): Case['settings'] {
  return { cpus: { fallback, help: 'both sides on one CPU, or on two', choices: ['1', '2'] } };
}

export function waitingSetting(fallback: 'sleep' | 'spin'): Case['settings'] {
  return {
    waiting: { fallback, help: 'who cannot spin sleeps', choices: ['sleep', 'spin'] },
  };
}

export const secondsSetting: Case['settings'] = {
  seconds: { fallback: '2', help: 'how long is measured', step: 0 },
};

export function surfaceSetting(fallback: 'promises' | 'fast'): Case['settings'] {
  return { surface: { fallback, help: 'of paipainet', choices: ['promises', 'fast'] } };
}

/** The native one where it has been built. */
export const engineSetting: Case['settings'] = {
  engine: {
    fallback: addonObstacle() === null ? 'native' : 'js',
    help: 'of paipainet',
    choices: ['native', 'js'],
  },
};

/** Of cases that open connections and send little over them. */
export function openedSettings(connections: number): Case['settings'] {
  return {
    ...messageBytesSetting,
    connections: {
      fallback: `${connections}`,
      help: 'how many; fewer where descriptors are short',
      least: 10,
    },
    ...engineSetting,
  };
}

/** A tenth of them is open before the clock starts, or memory is looked at. */
export const openedConstants: Settings = { idle: '1' };

/** Of a process beside its connections. */
const otherDescriptors = 256;

/** Fewer connections where descriptors are short. */
export function fitConnections(settings: Settings): Settings {
  const most = descriptorsMax() - otherDescriptors;
  return { ...settings, connections: String(Math.min(Number(settings.connections), most)) };
}
