/** Which backends run here, why others don't, and how fast they are. */
import type { Backend } from "../../backends/backend.ts";
import { findAddon } from "../../backends/native/addon.ts";
import { createNativeBackend } from "../../backends/native/backend.ts";
import { createReferenceBackend } from "../../backends/reference/backend.ts";
import { createWasmBackend } from "../../backends/wasm/backend.ts";
import { load } from "../../serving/model.ts";
import { round } from "../output.ts";
import type { BackendReport } from "./report.ts";

type Made = { readonly backend: Backend } | { readonly reason: string };

interface Candidate {
  readonly report: Omit<BackendReport, "runs">;
  make(): Made | Promise<Made>;
}

function candidates(threads: number | undefined): Candidate[] {
  const options = threads === undefined ? {} : { threads };
  const found = findAddon();
  const sets = "addon" in found ? found.addon.sets() : [];
  const variant = sets[0] === undefined ? {} : { variant: sets[0], sets };
  return [
    { report: { name: "native", tried: found.tried, ...variant }, make: () => createNativeBackend(options) },
    { report: { name: "wasm", variant: "relaxed" }, make: () => createWasmBackend({ ...options, simd: "relaxed" }) },
    { report: { name: "wasm", variant: "baseline" }, make: () => createWasmBackend({ ...options, simd: "baseline" }) },
    { report: { name: "reference" }, make: () => ({ backend: createReferenceBackend() }) },
  ];
}

/** Best first, as `load` would choose. `milliseconds` are spent on each that runs; 0: none is measured. */
export async function examineBackends(threads: number | undefined, milliseconds: number, signal?: AbortSignal): Promise<BackendReport[]> {
  const reports: BackendReport[] = [];
  for (const { report, make } of candidates(threads)) {
    let made: Made;
    try {
      made = await make();
    } catch (error) {
      made = { reason: messageOf(error) };
    }
    if ("reason" in made) reports.push({ ...report, runs: false, reason: made.reason });
    else {
      const speed = milliseconds > 0 ? await speedOf(made.backend, milliseconds, signal) : {};
      reports.push({ ...report, runs: !("fault" in speed), description: made.backend.description, ...speed });
    }
  }
  return reports;
}

/** Tokens a second of one text of the embedded model, without the first one, which waits for the prompt. */
async function speedOf(
  backend: Backend,
  milliseconds: number,
  signal: AbortSignal | undefined,
): Promise<Pick<BackendReport, "tokens_per_second" | "fault">> {
  try {
    await using model = await load("stories", { backend, context: 256, ...(signal === undefined ? {} : { signal }) });
    let tokens = 0;
    let spent = 0;
    for (let seed = 1; spent < milliseconds; seed++) {
      let first: number | undefined;
      const text = model.generate("Once upon a time", { maxTokens: 200, seed, ...(signal === undefined ? {} : { signal }) });
      for await (const _ of text) {
        const now = performance.now();
        if (first !== undefined) tokens++;
        first ??= now;
        if (spent + now - first >= milliseconds) break;
      }
      await text.then(undefined, () => undefined);
      signal?.throwIfAborted();
      spent += performance.now() - (first ?? performance.now());
    }
    return { tokens_per_second: round((tokens / spent) * 1000, 1) };
  } catch (error) {
    signal?.throwIfAborted();
    return { fault: messageOf(error) };
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
