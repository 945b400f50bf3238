import type { loadNative as LoadNative } from '../../dist/native/load.js';

const loadUrl: URL = new URL('../../native/load.js', import.meta.url);
const { loadNative } = (await import(loadUrl.href)) as { loadNative: typeof LoadNative };

/** Null when the addon can be loaded, else why not. */
export function addonObstacle(): string | null {
  const loaded = loadNative();
  return loaded.ok ? null : loaded.reason;
}
