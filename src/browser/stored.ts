/** What is kept on the device. Loaded when asked for: most pages never do. */
import type { FreedSpace, StorageReport, StoredFile } from "../formats/web/store.ts";

/** Downloads that are kept here for this site, whole or not, the least recently used first. */
export const storedModels = async (): Promise<readonly StoredFile[]> => (await import("../formats/web/store.ts")).storedFiles();

/** Deletes one by its key; false where there is none. Rejects with FRUGAL_BUSY while a tab uses it. */
export const deleteStored = async (key: string): Promise<boolean> => (await import("../formats/web/store.ts")).deleteStoredFile(key);

/** How much is stored, and how much more may be. */
export const storageReport = async (): Promise<StorageReport> => (await import("../formats/web/store.ts")).storageReport();

/** Deletes what was not used for the longest until so many bytes more may be written; see FreedSpace for what came of it. */
export const freeSpace = async (bytes: number): Promise<FreedSpace> => (await import("../formats/web/store.ts")).freeSpace(bytes);

/** Asks the browser not to evict what is stored; it may ask the user, and may refuse. */
export const requestPersistence = async (): Promise<boolean> => (await import("../formats/web/store.ts")).requestPersistence();
