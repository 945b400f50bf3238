import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { toError } from '../base/errors.js';
import type { NativeBinding } from './binding.js';

export type LoadedNative =
  | { readonly ok: true; readonly binding: NativeBinding; readonly path: string }
  | { readonly ok: false; readonly reason: string; readonly tried: readonly string[] };

let loaded: LoadedNative | undefined;

/** Finds and loads the addon, or says in one line why it cannot and which files were tried. Looks once. */
export function loadNative(): LoadedNative {
  loaded ??= load();
  return loaded;
}

function load(): LoadedNative {
  const require = createRequire(import.meta.url);
  // Sanitizer builds and the like; a person who sets it wants that file or none.
  const asked = process.env['PAIPAINET_ADDON'];
  if (asked !== undefined && asked !== '') {
    try {
      return { ok: true, binding: require(asked) as NativeBinding, path: asked }; // What the addon exports has no type of its own.
    } catch (thrown) {
      return refusal(toError(thrown), [asked]);
    }
  }
  const moduleRoot = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
  // `path: true` answers where the file is instead of loading it, so that a refusal can name it.
  const find = require('bindings') as (options: object) => string;
  let path: string;
  try {
    path = find({ bindings: 'paipainet', module_root: moduleRoot, path: true });
  } catch (thrown) {
    const { tries } = thrown as { tries?: string[] }; // `bindings` lists the files it looked for.
    const reason = 'the addon is not built: run `npx paipainet build`';
    return {
      ok: false,
      reason: tries === undefined ? toError(thrown).message : reason,
      tried: tries ?? [],
    };
  }
  try {
    return { ok: true, binding: require(path) as NativeBinding, path };
  } catch (thrown) {
    return refusal(toError(thrown), [path]);
  }
}

function refusal(error: Error & { code?: string }, tried: readonly string[]): LoadedNative {
  const reason =
    error.code === 'ERR_DLOPEN_DISABLED'
      ? 'Node was told not to load addons (--no-addons or the permission model)'
      : `the addon does not load: ${error.message.split('\n')[0]}`;
  return { ok: false, reason, tried };
}
