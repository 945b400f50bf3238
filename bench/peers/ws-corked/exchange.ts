import { exchangeOver } from '../../support/messaging.js';
import { play } from '../../support/program.js';
import { messaging } from './messaging.js';

await play(exchangeOver(messaging));
