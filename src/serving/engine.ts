/**
 * The loop behind every generation and every scoring: plan a step, give it pages, run it once, hand each row of logits to the request that
 * asked for it. All requests of a model share its steps. Every request ends exactly once: finished by its reader, aborted, or failed.
 */
import type { LoadedModel, Outputs } from "../backends/backend.ts";
import { FrugalError } from "../tensor/error.ts";
import { createPages } from "./pages.ts";
import { type Budget, type Demand, type Part, plan } from "./scheduler.ts";
import { grow, replace, type Sequence, shrink } from "./sequence.ts";
import { stepInputs } from "./step-inputs.ts";

/** What the reader of a row of logits wants next: another token (which it has put on the sequence), or nothing more. */
export type Verdict = "more" | "done";

export interface Request extends Demand {
  /**
   * Gets the logits that follow token `position`, in order, as its own to change until it returns, and the lowest id with the largest of them. After the sequence's last token it may push one more onto
   * the sequence and answer "more"; for the tokens before, the answer does not count.
   */
  read(position: number, logits: Float32Array, likeliest: number): Verdict;
  readonly signal?: AbortSignal | undefined;
  /** The sequence outlives the request (a session's): its pages stay until they are needed elsewhere. */
  readonly keep?: boolean;
}

export interface EngineLimits {
  readonly vocabularySize: number;
  /** Tokens a sequence may have in the cache. */
  readonly context: number;
  readonly cachePages: number;
  readonly pageSize: number;
  readonly rows: number;
  readonly sequences: number;
  readonly outputRows: number;
}

export interface Engine {
  readonly limits: EngineLimits;
  /** Resolves when the reader said "done"; rejects with the signal's reason, or with what went wrong. */
  run(request: Request): Promise<void>;
  /** Gives a kept sequence's pages back, once no step uses them. */
  forget(sequence: Sequence): Promise<void>;
  /** Makes a kept sequence hold these tokens, once no step uses it; resolves to how many of them are still in the cache. */
  change(sequence: Sequence, tokens: readonly number[]): Promise<number>;
  freePages(): number;
  /** Fails what is running with FRUGAL_DISPOSED and resolves when the step under way has ended. */
  dispose(): Promise<void>;
}

interface Running extends Request {
  readonly finish: (outcome: { readonly error?: unknown }) => void;
  ended: boolean;
}

const rowsBesideTexts = 128;

export function createEngine(loaded: LoadedModel, limits: EngineLimits): Engine {
  const { pageSize } = limits;
  const pages = createPages(limits.cachePages);
  const running = new Set<Running>();
  /** Sequences of sessions that hold pages and don't run, least recently used first. */
  const idle = new Set<Sequence>();
  /** Logits of a step; readers use theirs before the next. */
  const buffer = new Float32Array(limits.outputRows * limits.vocabularySize);
  let step: { readonly parts: readonly Part<Running>[]; readonly controller: AbortController; readonly ended: Promise<void> } | undefined;
  let loop: Promise<void> | undefined;
  let disposed = false;
  const gone = (): FrugalError => new FrugalError("FRUGAL_DISPOSED", "model: has been disposed; load it again");

  const inStep = (sequence: Sequence): boolean => step?.parts.some((part) => part.demand.sequence === sequence) ?? false;

  /** Only for sequences that no step is reading. */
  function release(sequence: Sequence): void {
    shrink(sequence, 0, pageSize, pages);
    idle.delete(sequence);
  }

  function end(request: Running, error?: unknown): void {
    if (request.ended) return;
    request.ended = true;
    running.delete(request);
    if (!inStep(request.sequence)) settle(request);
    request.finish(error === undefined ? {} : { error });
  }

  /** The pages of a request that has ended, once no step uses them. */
  function settle(request: Running): void {
    if (request.keep === true && !disposed) idle.add(request.sequence);
    else release(request.sequence);
  }

  /** A run is cut short only where most of its rows were for nothing; the others of the step lose their work. */
  function abort(request: Running): void {
    const others =
      step?.parts.filter((part) => !part.demand.ended && part.demand !== request).reduce((sum, part) => sum + part.count, 0) ?? 0;
    const own = step?.parts.find((part) => part.demand === request)?.count ?? 0;
    const active = step;
    end(request, request.signal?.reason);
    if (own > others) active?.controller.abort(request.signal?.reason);
  }

  /** Frees pages: of idle sessions first, else of the request that came last, which then computes its tokens again. */
  function makeRoom(): boolean {
    const [longestUnused] = idle;
    if (longestUnused !== undefined) {
      release(longestUnused);
      return true;
    }
    const youngest = [...running].filter((request) => request.sequence.pages.length > 0).at(-1);
    if (youngest === undefined || running.size === 1) return false;
    shrink(youngest.sequence, 0, pageSize, pages);
    return true;
  }

  function nextParts(): Part<Running>[] {
    for (;;) {
      const budget: Budget = { ...limits, rowsBesideTexts, freePages: pages.free() };
      const parts = plan([...running], budget);
      if (parts.length > 0 || running.size === 0) return parts;
      if (makeRoom()) continue;
      for (const request of running)
        end(
          request,
          new FrugalError(
            "FRUGAL_INTERNAL",
            `engine: ${pages.free()} free pages of ${pages.total} are too few for one request; report this`,
          ),
        );
    }
  }

  async function runParts(parts: readonly Part<Running>[]): Promise<void> {
    const controller = new AbortController();
    const { promise: ended, resolve: hasEnded } = deferred();
    step = { parts, controller, ended };
    for (const { demand, first, count } of parts) {
      idle.delete(demand.sequence);
      grow(demand.sequence, first + count, pageSize, pages);
      demand.sequence.scheduled = count;
    }
    const { symbols, inputs, reads } = stepInputs(parts);
    let outputs: Outputs | undefined;
    let failure: { readonly error: unknown } | undefined;
    try {
      const into = { logits: buffer.subarray(0, symbols.R * limits.vocabularySize) };
      outputs = await loaded.run({ program: "generate", symbols, inputs, into, signal: controller.signal });
    } catch (error) {
      failure = { error };
    }
    step = undefined;
    for (const { demand, count } of parts) {
      demand.sequence.scheduled = 0;
      if (failure === undefined) demand.sequence.computed += count;
      if (demand.ended) settle(demand);
    }
    hasEnded();
    if (failure === undefined) return deliver(parts, reads, outputs!["logits"] as Float32Array, outputs!["likeliest"] as Int32Array);
    if (controller.signal.aborted) return;
    // One request's fault must not end the others: each runs once more by itself.
    const alive = parts.filter((part) => !part.demand.ended);
    if (parts.length === 1) for (const part of alive) end(part.demand, failure.error);
    else for (const part of alive) if (!part.demand.ended) await runParts([part]);
  }

  function deliver(
    parts: readonly Part<Running>[],
    reads: ReturnType<typeof stepInputs>["reads"],
    logits: Float32Array,
    likeliest: Int32Array,
  ): void {
    reads.forEach(({ part, position }, row) => {
      const request = parts[part]!.demand;
      if (request.ended) return;
      const isLast = position === request.sequence.tokens.length - 1;
      try {
        const verdict = request.read(
          position,
          logits.subarray(row * limits.vocabularySize, (row + 1) * limits.vocabularySize),
          likeliest[row]!,
        );
        if (isLast && verdict === "done") end(request);
      } catch (error) {
        end(request, error);
      }
    });
  }

  async function steps(): Promise<void> {
    while (running.size > 0) {
      const parts = nextParts();
      if (parts.length > 0) await runParts(parts);
    }
    loop = undefined;
  }

  return {
    limits,
    async run(request) {
      if (disposed) throw gone();
      request.signal?.throwIfAborted();
      checkTokens(request.sequence.tokens, limits);
      await new Promise<void>((resolve, reject) => {
        const onAbort = (): void => abort(entry);
        const entry: Running = {
          ...request,
          ended: false,
          finish({ error }) {
            request.signal?.removeEventListener("abort", onAbort);
            if (error === undefined) resolve();
            else reject(error as Error);
          },
        };
        request.signal?.addEventListener("abort", onAbort, { once: true });
        idle.delete(request.sequence);
        running.add(entry);
        // Begins after this turn, so that requests made together start together.
        loop ??= Promise.resolve().then(steps);
      });
    },
    async forget(sequence) {
      while (inStep(sequence)) await step?.ended;
      release(sequence);
    },
    async change(sequence, tokens) {
      while (inStep(sequence)) await step?.ended;
      return replace(sequence, tokens, pageSize, pages);
    },
    freePages: () => pages.free(),
    async dispose() {
      disposed = true;
      step?.controller.abort(gone());
      for (const request of running) end(request, gone());
      await loop;
      for (const sequence of idle) release(sequence);
    },
  };
}

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}

/** @throws FRUGAL_BAD_ARGUMENT, FRUGAL_CONTEXT_FULL for tokens that can't be run. */
export function checkTokens(tokens: readonly number[], { context, vocabularySize }: EngineLimits): void {
  if (tokens.length === 0)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", "prompt: has no tokens, and the model has no token to begin with; give some text");
  if (tokens.length > context)
    throw new FrugalError(
      "FRUGAL_CONTEXT_FULL",
      `prompt: has ${tokens.length} tokens, but the context holds ${context}; shorten it or load with a larger context`,
      {
        tokens: tokens.length,
        context,
      },
    );
  const wrong = tokens.find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabularySize));
  if (wrong !== undefined)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `ids: ${wrong} is not a token; ids go from 0 to ${vocabularySize - 1}`, {
      id: wrong,
      vocabularySize,
    });
}
