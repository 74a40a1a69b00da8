/** The engine on a toy model, and texts whose tokens are known beforehand. */
import { pageSize } from "../../src/ops/cache.ts";
import { createEngine, type Engine, type EngineLimits, type Request } from "../../src/serving/engine.ts";
import type { PageTable } from "../../src/serving/page-tables.ts";
import { createPages } from "../../src/serving/pages.ts";
import type { Sequence } from "../../src/serving/sequence.ts";
import { createSpillStore } from "../../src/serving/spill.ts";
import { toyModel, toyNext, type ToyOptions } from "./toy-model.ts";

export const vocabularySize = 50;
export interface Setting extends Partial<EngineLimits>, Partial<ToyOptions> {
  readonly spill?: string;
}
export interface ToyEngine {
  readonly model: ReturnType<typeof toyModel>;
  readonly engine: Engine;
  readonly limits: EngineLimits;
  readonly tables: readonly PageTable[];
}

export function engineOf({ delay, fault, window, cachePages = 10, spill, ...changes }: Setting = {}): ToyEngine {
  const limits: EngineLimits = {
    vocabularySize,
    context: 320,
    rows: 128,
    sequences: 4,
    outputRows: 4,
    queue: Infinity,
    latencyGoal: 50,
    prefixCache: true,
    ...changes,
  };
  const given = { delay, fault, window };
  const toy = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const model = toyModel({ vocabularySize, pageSize, cachePages, ...toy });
  const tables: PageTable[] = [{ name: "pageTable", window: undefined, pages: createPages(cachePages) }];
  if (window !== undefined) tables.push({ name: `pageTable.${window}`, window, pages: createPages(cachePages) });
  const engine = createEngine(model, limits, tables, spill === undefined ? undefined : createSpillStore(spill));
  return { model, engine, limits, tables };
}

/** Writes `count` tokens, likeliest first; returns those written so far where it is ended. */
export function write(
  engine: Engine,
  sequence: Sequence,
  count: number,
  options: Partial<Request> = {},
): { done: Promise<void>; written: number[] } {
  const written: number[] = [];
  const done = engine.run({
    sequence,
    readFrom: Infinity,
    ...options,
    read(position, logits) {
      if (position !== sequence.tokens.length - 1) return "more";
      const id = logits.indexOf(Math.max(...logits));
      sequence.tokens.push(id);
      written.push(id);
      return written.length < count ? "more" : "done";
    },
  });
  return { done, written };
}

export function expected(prompt: readonly number[], count: number): number[] {
  const tokens = [...prompt];
  for (let i = 0; i < count; i++) tokens.push(toyNext(tokens, vocabularySize));
  return tokens.slice(prompt.length);
}

export const promptOf = (length: number, salt = 0): number[] => Array.from({ length }, (_, i) => (i * 7 + salt) % vocabularySize);
export const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 3));
