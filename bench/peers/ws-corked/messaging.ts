import type { Messaging } from '../../support/messaging.js';
import { messagingBy, WebSocketLink } from '../ws/messaging.js';

/** `ws` writes header and payload of each message apart. Here the socket below is corked for a turn, so that all of it leaves in one write. */
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
