/** After its goodbye a connection may take this long to send what is queued and to see the other side's end. */
export const lingerMs = 1_000;
