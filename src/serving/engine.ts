/**
 * The loop behind every generation and every scoring: plan a step, give it pages, run it once, hand each row of logits to the request that
 * asked for it. All requests of a model share its steps. Every request ends exactly once: finished by its reader, aborted, or failed.
 */
import type { LoadedModel, Outputs } from "../backends/backend.ts";
import { pageSize } from "../ops/cache.ts";
import { FrugalError } from "../tensor/error.ts";
import { admit } from "./admission.ts";
import { type CacheKeeper, createCacheKeeper } from "./cache-keeper.ts";
import { createDeferredHead, type DeferredHeadLimits } from "./deferred-head.ts";
import { busy, checkTokens } from "./refusals.ts";
import { createFairShare } from "./fair-share.ts";
import { judge, rowsOf } from "./judge.ts";
import type { PageTable } from "./page-tables.ts";
import { checkProposal, unlessAborted } from "./proposal.ts";
import type { Request, Running } from "./request.ts";
import { type Budget, inTurn, isWriting, type Part, plan } from "./scheduler.ts";
import type { ServingStats, StepReport } from "./serving-stats.ts";
import type { SpillStore } from "./spill.ts";
import { stepInputs } from "./step-inputs.ts";
import { createStepTimes, type StepTimes } from "./step-times.ts";

export type { Request, Verdict } from "./request.ts";

export interface EngineLimits {
  readonly vocabularySize: number;
  /** Tokens a sequence may have in the cache. */
  readonly context: number;
  readonly rows: number;
  readonly sequences: number;
  readonly outputRows: number;
  /** Most requests that may wait. */
  readonly queue: number;
  /** Milliseconds between the tokens of a text that prompts beside it should not exceed. */
  readonly latencyGoal: number;
  /** Whether requests share keys and values of equal beginnings. */
  readonly prefixCache: boolean;
  /** Where the model has the programs of a deferred head. */
  readonly deferredHead?: Pick<DeferredHeadLimits, "mode" | "width"> | undefined;
}

export interface Engine {
  readonly limits: EngineLimits;
  readonly stepTimes: StepTimes;
  /** Resolves when the reader said "done"; rejects with the signal's reason, with FRUGAL_BUSY where too many wait, or with what went wrong. */
  run(request: Request): Promise<void>;
  stats(): ServingStats;
  /** Calls `listener` after each step until the function that is returned is called. */
  onStep(listener: (step: StepReport) => void): () => void;
  /** FRUGAL_INTERNAL where pages were lost; to be asked when nothing runs. */
  expectIdle(): void;
  /** Fails what is running with FRUGAL_DISPOSED and resolves when the step under way has ended. */
  dispose(): Promise<void>;
}

/** Tokens of a prompt that a step with texts reads at least, however long it takes. */
const leastRowsBesideTexts = 32;
/** And at most, before anything was measured. */
const firstRowsBesideTexts = 128;

export function createEngine(loaded: LoadedModel, limits: EngineLimits, tables: readonly PageTable[], store?: SpillStore): Engine {
  const keeper: CacheKeeper = createCacheKeeper(loaded, tables, store);
  const running = new Set<Running>();
  /** Ended, with pages to give back. */
  const unsettled = new Set<Running>();
  const share = createFairShare();
  const stepTimes = createStepTimes();
  const deferred =
    limits.deferredHead &&
    createDeferredHead(loaded, { ...limits, ...limits.deferredHead, outputRows: Math.min(16, limits.outputRows) }, tables);
  const listeners = new Set<(step: StepReport) => void>();
  /** Logits of a step; readers use theirs before the next. */
  const buffer = new Float32Array(limits.outputRows * limits.vocabularySize);
  const totals = {
    steps: 0,
    promptTokens: 0,
    cachedTokens: 0,
    generatedTokens: 0,
    draftedTokens: 0,
    acceptedTokens: 0,
    preemptions: 0,
    guessedTokens: 0,
    confirmedTokens: 0,
  };
  let step: { readonly parts: readonly Part<Running>[]; readonly controller: AbortController } | undefined;
  let loop: Promise<void> | undefined;
  let disposed = false;
  /** Average seconds from a text's arrival to its end, for predictions. */
  let usualSeconds = 0;
  let lastEnded: number | undefined;
  const gone = (): FrugalError => new FrugalError("FRUGAL_DISPOSED", "model: has been disposed; load it again");

  const waiting = (): number => [...running].filter(({ hasBegun }) => !hasBegun).length;
  const predictedWait = (): number => ((waiting() + 1) / limits.sequences) * usualSeconds;

  /** Its pages are given back by the loop, when no step and no plan uses them: `settleEnded`. */
  function end(request: Running, error?: unknown): void {
    if (request.ended) return;
    request.ended = true;
    running.delete(request);
    unsettled.add(request);
    share.leave(request.tenant);
    if (error === undefined) {
      const seconds = (performance.now() - request.arrived) / 1000;
      usualSeconds += (usualSeconds === 0 ? 1 : 0.1) * (seconds - usualSeconds);
    }
    request.finish(error === undefined ? {} : { error });
  }

  async function settleEnded(): Promise<void> {
    const ended = [...unsettled];
    unsettled.clear();
    await Promise.all(
      ended.map(async (request) => {
        if (!disposed && request.admitted && request.spilled === undefined) keeper.keep(request);
        await keeper.release(request);
      }),
    );
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

  /** Asks strategies of texts being written what may follow. */
  async function propose(): Promise<void> {
    const writing = [...running].filter((request) => request.hasBegun && isWriting(request));
    const most = Math.floor((limits.outputRows - writing.length) / Math.max(1, writing.length));
    await Promise.all(
      writing.map(async (request) => {
        const { strategy, sequence } = request;
        const room = Math.min(most, limits.context - sequence.tokens.length, limits.rows - writing.length);
        if (strategy === undefined || sequence.drafts.length > 0 || room < 1) return;
        try {
          const proposed = checkProposal(
            await unlessAborted(strategy.propose(sequence.tokens, room), request.signal),
            room,
            limits.vocabularySize,
          );
          sequence.drafts.push(...proposed);
        } catch (error) {
          end(request, error);
        }
      }),
    );
  }

  async function nextParts(): Promise<Part<Running>[]> {
    await settleEnded();
    for (let mayAdmit = true; running.size > 0; await settleEnded()) {
      if (mayAdmit) await admit(running, limits.sequences, keeper, tables);
      const turn = inTurn([...running].filter(({ admitted }) => admitted));
      const parts = plan(turn, budget(turn));
      const ready: Part<Running>[] = [];
      for (const part of parts) if (await keeper.reserve(part.demand, part.first + part.count)) ready.push(part);
      const alive = ready.filter(({ demand }) => !demand.ended);
      // Rows of one adapter lie together.
      if (alive.length > 0) return alive.sort((a, b) => (a.demand.adapter ?? -1) - (b.demand.adapter ?? -1));
      if (ready.length > 0 || turn.some(({ ended }) => ended)) continue;
      // Whom a text waited for, for its prefix, may have ended meanwhile.
      mayAdmit = turn.length === 0;
      if (mayAdmit) continue;
      await makeRoom(turn);
    }
    return [];
  }

  function budget(turn: readonly Running[]): Budget {
    const writers = turn.slice(0, limits.sequences).filter(isWriting).length;
    const isMeasured = stepTimes.expected(1) !== undefined;
    const rows = isMeasured ? stepTimes.rowsWithin(limits.latencyGoal, leastRowsBesideTexts + writers, limits.rows) : firstRowsBesideTexts;
    return {
      rows: limits.rows,
      rowsBesideTexts: isMeasured ? Math.max(1, rows - writers) : rows,
      sequences: limits.sequences,
      outputRows: limits.outputRows,
      freePages: keeper.available(running, Math.ceil(limits.rows / pageSize) + limits.sequences),
      tables,
    };
  }

  /** The text that comes last makes room for the others. */
  async function makeRoom(turn: readonly Running[]): Promise<void> {
    const holding = turn.filter(({ sequence }) => sequence.pages.length > 0);
    const last = holding.at(-1);
    if (last !== undefined && holding.length > 1) {
      totals.preemptions++;
      last.sequence.drafts.length = 0;
      await keeper.spill(last);
      last.admitted = last.spilled !== undefined;
    } else if (last?.node !== undefined) keeper.leave(last);
    else
      for (const request of running)
        end(request, new FrugalError("FRUGAL_INTERNAL", "engine: there are too few pages for one request; report this"));
  }

  async function runParts(parts: readonly Part<Running>[]): Promise<void> {
    const controller = new AbortController();
    step = { parts, controller };
    for (const { demand } of parts) begin(demand);
    const writing = parts.map(({ demand }) => isWriting(demand));
    const { program, symbols, inputs, reads } = stepInputs(parts, tables);
    let outputs: Outputs | undefined;
    let failure: { readonly error: unknown } | undefined;
    const began = performance.now();
    try {
      const into = { logits: buffer.subarray(0, symbols.R * limits.vocabularySize) };
      outputs = await loaded.run({ program, symbols, inputs, into, signal: controller.signal });
    } catch (error) {
      failure = { error };
    }
    const milliseconds = performance.now() - began;
    step = undefined;
    if (failure === undefined) {
      for (const { demand, count } of parts) {
        demand.sequence.computed += count;
        share.charge(demand.tenant, count);
      }
      const { generated, proposed, accepted } = judge(parts, reads, rowsOf(outputs!, limits.vocabularySize), end);
      if (symbols.T === 1 && generated === 1) deferred?.stepped(milliseconds);
      totals.generatedTokens += generated;
      totals.draftedTokens += proposed;
      totals.acceptedTokens += accepted;
      for (const [i, { demand, first }] of parts.entries()) {
        const crossed = Math.floor(first / pageSize) !== Math.floor(demand.sequence.computed / pageSize);
        // Prefixes are left to others page by page, and prompts as they are read.
        if (!demand.ended && (crossed || !writing[i]!)) keeper.keep(demand);
      }
      stepTimes.record(symbols.T, milliseconds);
      totals.steps++;
      const written = parts.filter((_, i) => writing[i]);
      tell(began, {
        milliseconds,
        rows: symbols.T,
        sequences: symbols.S,
        outputRows: reads.length,
        decodeRows: written.length,
        draftRows: written.reduce((sum, { count }) => sum + count - 1, 0),
        roundTokens: 0,
      });
    }
    lastEnded = began + milliseconds;
    await settleEnded();
    if (failure === undefined || controller.signal.aborted) return;
    // One request's fault must not end the others: each runs once more by itself.
    const alive = parts.filter((part) => !part.demand.ended);
    if (parts.length === 1) for (const part of alive) end(part.demand, failure.error);
    else for (const part of alive) if (!part.demand.ended) await runParts([part]);
  }

  /** Brings the only text several tokens further by its deferred head; false where that is for whole steps to do. */
  async function runRound(request: Running): Promise<boolean> {
    await settleEnded();
    const { sequence } = request;
    const length = deferred!.length(request);
    if (request.ended || length < 2 || !(await keeper.reserve(request, sequence.computed + length))) return false;
    const controller = new AbortController();
    const { computed: first, tokens } = sequence;
    const known = tokens.length;
    step = { parts: [{ demand: request, first, count: length, readFrom: first }], controller };
    const began = performance.now();
    try {
      const mayGoOn = (): boolean => running.size === 1;
      const { part, reads, outputs } = await deferred!.run(request, length, buffer, mayGoOn, controller.signal);
      const milliseconds = performance.now() - began;
      step = undefined;
      share.charge(request.tenant, part.count);
      const { generated, proposed, accepted } = judge([part], reads, rowsOf(outputs, limits.vocabularySize), end, false);
      totals.steps++;
      totals.generatedTokens += generated;
      totals.guessedTokens += proposed;
      totals.confirmedTokens += accepted;
      stepTimes.record(1, milliseconds / Math.max(1, generated));
      deferred!.judged(part.count, tokens.length - known, milliseconds);
      if (!request.ended && Math.floor(first / pageSize) !== Math.floor(sequence.computed / pageSize)) keeper.keep(request);
      tell(began, {
        milliseconds,
        rows: part.count,
        sequences: 1,
        outputRows: reads.length,
        decodeRows: 1,
        draftRows: 0,
        roundTokens: generated,
      });
    } catch (error) {
      step = undefined;
      if (!controller.signal.aborted) end(request, error);
    }
    return true;
  }

  /** Of the step that began then. */
  function tell(began: number, report: Omit<StepReport, "overheadMilliseconds">): void {
    const overheadMilliseconds = lastEnded === undefined ? 0 : began - lastEnded;
    for (const listener of listeners) listener({ ...report, overheadMilliseconds });
    lastEnded = began + report.milliseconds;
  }

  function begin(request: Running): void {
    if (request.hasBegun) return;
    request.hasBegun = true;
    totals.promptTokens += request.sequence.tokens.length;
    totals.cachedTokens += request.sequence.cached;
    request.begun?.();
  }

  async function steps(): Promise<void> {
    try {
      while (running.size > 0) {
        await propose();
        const alone = deferred?.candidate(running);
        if (alone !== undefined && (await runRound(alone))) continue;
        const parts = await nextParts();
        if (parts.length > 0) await runParts(parts);
      }
    } catch (error) {
      for (const request of running) end(request, error);
    }
    await settleEnded();
    lastEnded = undefined;
    loop = running.size > 0 ? steps() : undefined;
  }

  return {
    limits,
    stepTimes,
    async run(request) {
      if (disposed) throw gone();
      request.signal?.throwIfAborted();
      checkTokens(request.sequence.tokens, limits);
      if (waiting() >= limits.queue + Math.max(0, limits.sequences - (running.size - waiting()))) throw busy(limits.queue, predictedWait());
      const tenant = request.tenant ?? "";
      await new Promise<void>((resolve, reject) => {
        const onAbort = (): void => abort(entry);
        const entry: Running = {
          ...request,
          namespace: request.namespace ?? "",
          reuses: limits.prefixCache && request.reuses !== false,
          priority: request.priority ?? 0,
          tenant,
          arrived: performance.now(),
          admitted: false,
          hasBegun: false,
          ended: false,
          get service() {
            return share.service(tenant);
          },
          get started() {
            return entry.admitted && entry.spilled === undefined;
          },
          finish({ error }) {
            request.signal?.removeEventListener("abort", onAbort);
            if (error === undefined) resolve();
            else reject(error as Error);
          },
        };
        request.signal?.addEventListener("abort", onAbort, { once: true });
        running.add(entry);
        share.arrive(tenant);
        // Begins after this turn, so that requests made together start together.
        loop ??= Promise.resolve().then(steps);
      });
    },
    stats() {
      const begun = [...running].filter(({ hasBegun }) => hasBegun).length;
      return {
        running: begun,
        waiting: running.size - begun,
        queueLimit: limits.queue,
        pages: keeper.report(),
        ...totals,
        spilledPages: keeper.counts.spilledPages,
        evictedPrefixes: keeper.counts.evictedPrefixes,
        predictedWaitSeconds: predictedWait(),
      };
    },
    onStep(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    expectIdle: () => keeper.expectIdle(),
    async dispose() {
      disposed = true;
      step?.controller.abort(gone());
      for (const request of running) end(request, gone());
      await loop;
      keeper.clear();
      await store?.dispose();
    },
  };
}
