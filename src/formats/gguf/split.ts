/** Split GGUF files, `name-00001-of-00003.gguf`: any part opens all, and the tensors of all are one map. */
import { FrugalError } from "../../tensor/error.ts";
import type { ByteSource } from "../../tensor/source.ts";
import type { StoredTensor } from "../../tensor/stored.ts";
import { openFile } from "../files.ts";
import { type GgufFile, readGguf } from "./read.ts";

export interface OpenOptions {
  readonly signal?: AbortSignal;
}

const partName = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/s;
/** More parts than anybody cuts a model into; each costs an open file. */
const PART_LIMIT = 10_000;

/** The name of part `number`, counted from 1. */
export const splitName = (prefix: string, number: number, count: number): string =>
  `${prefix}-${String(number).padStart(5, "0")}-of-${String(count).padStart(5, "0")}.gguf`;

/** Opens a GGUF file; where it is a part of a split one, all of them. Rejects as `readGguf`, and with FRUGAL_NOT_FOUND naming a missing part. */
export async function openGguf(path: string, options: OpenOptions = {}): Promise<GgufFile> {
  return openParts(await openFile(path), openFile, options);
}

/** As `openGguf` for sources of any kind: `open` is given the other parts' names, which differ from the source's only in their number. */
export async function openParts(
  source: ByteSource,
  open: (name: string) => Promise<ByteSource>,
  options: OpenOptions = {},
): Promise<GgufFile> {
  const opened: ByteSource[] = [source];
  try {
    const given = await readGguf(source, options);
    const count = splitField(given, source.name, "split.count") ?? 1;
    if (count === 1) return given;
    const name = partsOf(source.name, splitField(given, source.name, "split.no") ?? 0, count);
    const parts: GgufFile[] = [];
    for (let number = 1; number <= count; number++) {
      options.signal?.throwIfAborted();
      if (number === name.number) {
        parts.push(given);
        continue;
      }
      const part = await openPart(splitName(name.prefix, number, count), number, count, open);
      opened.push(part);
      parts.push(await readPart(part, number, count, options));
    }
    return join(parts, opened);
  } catch (error) {
    await Promise.allSettled(opened.map((part) => part.close()));
    throw error;
  }
}

const bad = (name: string, wrong: string): FrugalError =>
  new FrugalError("FRUGAL_BAD_FILE", `${name}: ${wrong}; fetch all parts again, keeping their names`, {});

function splitField(file: GgufFile, name: string, key: string): number | undefined {
  const value = file.metadata.get(key);
  if (value === undefined) return undefined;
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= PART_LIMIT) return value;
  throw bad(name, `${key} is ${typeof value === "object" ? "an array" : String(value)}, not a number up to ${PART_LIMIT}`);
}

function partsOf(name: string, index: number, count: number): { prefix: string; number: number } {
  const match = partName.exec(name);
  if (match === null || Number(match[2]) !== index + 1 || Number(match[3]) !== count)
    throw bad(name, `is part ${index + 1} of ${count} but its name does not end in ${splitName("", index + 1, count)}`);
  return { prefix: match[1]!, number: index + 1 };
}

async function openPart(name: string, number: number, count: number, open: (name: string) => Promise<ByteSource>): Promise<ByteSource> {
  try {
    return await open(name);
  } catch (error) {
    if (!(error instanceof FrugalError) || error.code !== "FRUGAL_NOT_FOUND") throw error;
    throw new FrugalError(
      "FRUGAL_NOT_FOUND",
      `${name}: part ${number} of ${count} is missing; put it beside the others`,
      { part: number, count },
      { cause: error },
    );
  }
}

async function readPart(source: ByteSource, number: number, count: number, options: OpenOptions): Promise<GgufFile> {
  const part = await readGguf(source, options);
  const index = splitField(part, source.name, "split.no");
  if (index !== number - 1)
    throw bad(source.name, `says that it is part ${index === undefined ? "of nothing" : index + 1}, not ${number} of ${count}`);
  return part;
}

/** One file of all parts. The keys of the split go, so that writing it again makes one whole file. */
function join(parts: readonly GgufFile[], sources: readonly ByteSource[]): GgufFile {
  const first = parts[0]!;
  const tensors = new Map<string, StoredTensor>();
  for (const tensor of parts.flatMap((part) => [...part.tensors.values()])) {
    if (tensors.has(tensor.name)) throw bad(tensor.source.name, `has tensor ${tensor.name}, which another part has too`);
    tensors.set(tensor.name, tensor);
  }
  const expected = first.metadata.get("split.tensors.count");
  if (typeof expected === "number" && expected !== tensors.size)
    throw bad(sources[0]!.name, `the parts have ${tensors.size} tensors, not the ${expected} that split.tensors.count says`);
  const without = <T>(map: ReadonlyMap<string, T>): Map<string, T> => new Map([...map].filter(([key]) => !key.startsWith("split.")));
  return {
    ...first,
    metadata: without(first.metadata),
    types: without(first.types),
    tensors,
    close: async () => void (await Promise.all(sources.map((source) => source.close()))),
  };
}
