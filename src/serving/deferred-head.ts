/**
 * The output head put off, for a text that is written alone: tokens are guessed one after the other from shortlists of logits, then the whole
 * table is read once for all of them, and the guesses that the text's own reader repeats count. Texts are those of the whole head, and its
 * bytes, most of a step's for large vocabularies, are read once in several tokens.
 */
import type { LoadedModel, Outputs } from "../backends/backend.ts";
import type { PageTable } from "./page-tables.ts";
import type { Running } from "./request.ts";
import { isWriting, type Part } from "./scheduler.ts";
import { stepInputs, type StepInputs } from "./step-inputs.ts";

/** "always" is for tests and measurements: "auto" leaves it where it is measured to be slower than whole steps. */
export type DeferredHeadMode = "auto" | "always";

export interface DeferredHeadLimits {
  readonly mode: DeferredHeadMode;
  /** Numbers of a row before the head. */
  readonly width: number;
  readonly vocabularySize: number;
  readonly context: number;
  /** Most tokens of a round. */
  readonly outputRows: number;
}

/** What a round computed: row i of the logits follows the text's token `first + i`, of which those after the first are guesses. */
export interface Round {
  readonly part: Part<Running>;
  readonly reads: StepInputs["reads"];
  /** Of the program "head". */
  readonly outputs: Outputs;
}

export interface DeferredHead {
  /** The one text that runs, where a round may bring it further now. */
  candidate(running: ReadonlySet<Running>): Running | undefined;
  /** How many tokens the next round should have, where the text has room for them. */
  length(request: Running): number;
  /**
   * Guesses become the sequence's drafts, and `computed` counts what has keys and values. Ends early where nothing follows a guess, or
   * `mayGoOn` says no before another step. Rejects as runs do; drafts are then gone.
   */
  run(request: Running, length: number, logits: Float32Array, mayGoOn: () => boolean, signal: AbortSignal): Promise<Round>;
  /** What a round of so many rows brought, and took. */
  judged(rows: number, tokens: number, milliseconds: number): void;
  /** What a step without a round took that brought one token. */
  stepped(milliseconds: number): void;
}

/** Tokens of the first round. */
const firstLength = 8;
const shortest = 2;
/** Weight of the newest measurement. */
const newest = 0.2;
/** Whole steps that are measured before the first round, and tokens until the slower way is tried again. */
const trial = 3;
const retrial = 512;

export function createDeferredHead(loaded: LoadedModel, limits: DeferredHeadLimits, tables: readonly PageTable[]): DeferredHead {
  const { width, outputRows } = limits;
  const hidden = new Float32Array(outputRows * width);
  let wanted = Math.min(firstLength, outputRows);
  /** Milliseconds a token, by rounds and by whole steps. */
  const averages = { rounds: undefined as number | undefined, steps: undefined as number | undefined };
  let steps = 0;
  let sinceTrial = 0;
  const average = (way: keyof typeof averages, milliseconds: number): void => {
    const known = averages[way];
    // One stall of the machine must not count as what a token takes.
    averages[way] = known === undefined ? milliseconds : known + newest * (Math.min(milliseconds, 3 * known) - known);
  };
  const isWorthwhile = (): boolean => {
    if (limits.mode === "always") return true;
    if (steps < trial) return false;
    if (averages.rounds === undefined || averages.steps === undefined || averages.rounds <= averages.steps) return true;
    return sinceTrial >= retrial;
  };

  return {
    candidate(running) {
      const [request] = running;
      if (running.size !== 1 || request === undefined || outputRows < shortest) return undefined;
      const { sequence, guess, adapter = -1 } = request;
      const canRun = guess !== undefined && adapter < 0 && request.started && request.hasBegun && !request.ended;
      return canRun && isWriting(request) && sequence.drafts.length === 0 && isWorthwhile() ? request : undefined;
    },

    length: ({ sequence }) => Math.min(wanted, limits.context - sequence.tokens.length + 1),

    async run(request, length, logits, mayGoOn, signal) {
      const { sequence } = request;
      const first = sequence.computed;
      const partOf = (from: number, count: number): Part<Running> => ({ demand: request, first: from, count, readFrom: from });
      let count = 0;
      try {
        for (let goesOn = true; goesOn;) {
          const { symbols, inputs } = stepInputs([partOf(first + count, 1)], tables);
          const outputs = await loaded.run({ program: "generateShortlist", symbols, inputs, signal });
          hidden.set(outputs["hidden"] as Float32Array, count * width);
          sequence.computed++;
          count++;
          if (count >= length || request.ended || !mayGoOn()) break;
          const id = request.guess!(first + count - 1, outputs["shortIds"] as Int32Array, outputs["shortLogits"] as Float32Array);
          goesOn = id !== undefined;
          if (id !== undefined) sequence.drafts.push(id);
        }
        const outputs = await loaded.run({
          program: "head",
          symbols: { T: 1, S: 1, C: 1, R: count },
          inputs: { hidden: hidden.subarray(0, count * width) },
          into: { logits: logits.subarray(0, count * limits.vocabularySize) },
          signal,
        });
        return {
          part: partOf(first, count),
          reads: Array.from({ length: count }, (_, i) => ({ part: 0, position: first + i })),
          outputs,
        };
      } catch (error) {
        sequence.drafts.length = 0;
        sequence.computed = first;
        throw error;
      }
    },

    judged(rows, tokens, milliseconds) {
      // All confirmed: longer; else half way to what was.
      wanted = tokens >= rows ? Math.min(outputRows, Math.max(wanted, rows + 2)) : Math.max(shortest, Math.ceil((rows + tokens) / 2));
      average("rounds", milliseconds / Math.max(1, tokens));
      sinceTrial = 0;
    },

    stepped(milliseconds) {
      steps++;
      sinceTrial++;
      average("steps", milliseconds);
    },
  };
}
