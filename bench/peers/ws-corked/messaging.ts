import type { Messaging } from '../../support/messaging.js';
import { messagingBy, WebSocketLink } from '../ws/messaging.js';

/** `ws` corks the socket below for each message. Here it is corked for a turn, so that all messages of it leave in one write. */
class CorkedLink extends WebSocketLink {
  #isCorked = false;

  override send(message: Buffer): boolean {
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.socket.cork();
      process.nextTick(() => {
        this.#isCorked = false;
        this.socket.uncork();
      });
    }
    return super.send(message);
  }
}

export const messaging: Messaging = messagingBy(CorkedLink);
