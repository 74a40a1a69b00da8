/** What a repository has, checked: a server or an old file said it, and it becomes names of files here. */
import { FrugalError } from "../../tensor/error.ts";
import { isJsonObject } from "../json.ts";
import { type HubFile, isPlainPath } from "./reference.ts";

/** What is known of a repository at a revision. */
export interface Listing {
  readonly commit: string;
  readonly files: readonly HubFile[];
}

export const commitPattern: RegExp = /^[0-9a-f]{40}$/;
const hashPattern = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

/** More than any model has. */
export const FILE_LIMIT = 100_000;

/** Throws FRUGAL_NETWORK where it makes no sense. */
export function toListing(repository: string, commit: unknown, files: unknown): Listing {
  const bad = (wrong: string): FrugalError =>
    new FrugalError("FRUGAL_NETWORK", `hub: ${repository}: the server ${wrong}; try again, or check the endpoint`, { repository });
  if (typeof commit !== "string" || !commitPattern.test(commit)) throw bad(`names the commit ${JSON.stringify(commit)}, which is not one`);
  if (!Array.isArray(files)) throw bad("sent no list of files");
  return {
    commit,
    files: files.map((file: unknown): HubFile => {
      if (!isJsonObject(file)) throw bad("sent a file without an entry");
      const { path, byteLength, hash } = file;
      if (typeof path !== "string" || !isPlainPath(path))
        throw bad(`sent the path ${JSON.stringify(path)}, which is not a plain relative one`);
      if (typeof byteLength !== "number" || !Number.isSafeInteger(byteLength) || byteLength < 0) throw bad(`sent no size of ${path}`);
      if (typeof hash !== "string" || !hashPattern.test(hash)) throw bad(`sent no hash of ${path}`);
      return { path, byteLength, hash };
    }),
  };
}

export const tooManyFiles = (repository: string): FrugalError =>
  new FrugalError("FRUGAL_UNSUPPORTED", `hub: ${repository} has more than ${FILE_LIMIT} files; no model has, use another repository`, {
    repository,
  });
