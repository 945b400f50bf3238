/** Of a record: UTF-8, well-formed, at least one byte. */
export const recordKeyBytesMax = 500;
/** Records that one transaction changes. */
export const changedRecordsMax = 64;
/** Records that one transaction reads or changes. */
export const touchedRecordsMax = 256;
/** Of the keys and values that one transaction changes, encoded. Two of these and the rest of a message fit what a journal takes at once. */
export const changedBytesMax: number = 512 * 1024;
/** What a node lists at once of the transactions that are in doubt there. */
export const inDoubtListMax = 1_000;
/** Of a transaction's id. */
export const idBytesMax = 80;
