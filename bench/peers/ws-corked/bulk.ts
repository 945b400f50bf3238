import { bulkOver } from '../../support/messaging-bulk.js';
import { play } from '../../support/program.js';
import { messaging } from './messaging.js';

await play(bulkOver(messaging));
