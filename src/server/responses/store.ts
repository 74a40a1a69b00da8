/** Responses that were not to be forgotten at once, bounded in bytes: the oldest go first. They end with the server. */
import type { InputItem, OutputItem } from "./items.ts";
import type { ResponseRecord } from "./record.ts";

export interface StoredResponse {
  readonly response: ResponseRecord;
  /** The conversation up to the response, without instructions. */
  readonly items: readonly (InputItem | OutputItem)[];
  /** Whose it is: others do not find it. */
  readonly tenant: string | undefined;
}

export interface ResponseStore {
  put(stored: StoredResponse): void;
  get(id: string, tenant: string | undefined): StoredResponse | undefined;
  remove(id: string, tenant: string | undefined): boolean;
}

export function createResponseStore(mostBytes: number = 16 * 2 ** 20): ResponseStore {
  const kept = new Map<string, { readonly stored: StoredResponse; readonly bytes: number }>();
  let total = 0;
  const drop = (id: string): void => {
    total -= kept.get(id)?.bytes ?? 0;
    kept.delete(id);
  };
  const find = (id: string, tenant: string | undefined): StoredResponse | undefined => {
    const found = kept.get(id)?.stored;
    return found?.tenant === tenant ? found : undefined;
  };
  return {
    put(stored) {
      const bytes = 2 * JSON.stringify(stored).length;
      kept.set(stored.response.id, { stored, bytes });
      total += bytes;
      for (const id of kept.keys()) {
        if (total <= mostBytes) break;
        drop(id);
      }
    },
    get: find,
    remove(id, tenant) {
      if (find(id, tenant) === undefined) return false;
      drop(id);
      return true;
    },
  };
}
