/** The SharedWorker of hub.ts: one for all tabs of an origin that load this file. */
import { createHub } from "./hub.ts";
import { tabLock } from "./locks.ts";

interface SharedWorkerScope {
  onconnect: ((event: MessageEvent) => void) | null;
}

// A tab holds its lock as long as it lives.
const hub = createHub((tab) => navigator.locks.request(tabLock(tab), async () => undefined));
(globalThis as unknown as SharedWorkerScope).onconnect = ({ ports }) => hub.connect(ports[0]!);
