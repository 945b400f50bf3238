import type { HeartbeatOptions } from '../session/types.js';

/**
 * When the other side of a net counts as gone though its connection has not ended: its machine lost power or network, or its
 * process stands still. Not tighter, because user code that keeps the main thread of a client busy holds back its answers.
 */
export const nodeHeartbeat: HeartbeatOptions = { intervalMs: 5_000, timeoutMs: 30_000 };
