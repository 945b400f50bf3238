/** Longest key, in bytes of UTF-8. */
export const keyBytesMax: number = 64 * 1024;

/** Longest value, encoded. */
export const valueBytesMax: number = 16 * 1024 * 1024;

/** What one job may answer: keys and values encoded, and how many keys. */
export const resultBytesMax: number = 256 * 1024 * 1024;
export const resultKeysMax: number = 4 * 1024 * 1024;

/** Memory that a job may take on each node, as far as it is counted. */
export const memoryBytesMin: number = 1024 * 1024;
export const memoryBytesMax: number = 2 ** 40;
export const memoryBytesDefault: number = 256 * 1024 * 1024;
