import type { loadNative as LoadNative } from '../../dist/native/load.js';
import type { Case } from './types.js';

const loadUrl: URL = new URL('../../native/load.js', import.meta.url);
const { loadNative } = (await import(loadUrl.href)) as { loadNative: typeof LoadNative };

/** The setting `engine` of every case: the native one where it has been built. */
export const engineSetting: Case['settings'] = {
  engine: { fallback: loadNative().ok ? 'native' : 'js', help: 'of paipainet: native or js' },
};
