/** Prompts and options to generations: what a model and its sessions share. */
import { FrugalError } from "../tensor/error.ts";
import type { Constraint, ConstraintCompiler } from "../text/constraint.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { AdapterLease, Adapters } from "./adapter-slots.ts";
import type { Engine } from "./engine.ts";
import { type Generation, startGeneration } from "./generation.ts";
import { checkOptions, wholeNumber } from "../tensor/options.ts";
import { type EncodedPrompt, isConversation, type Prompt, promptEncoder, promptNames, type PromptOptions } from "./prompt.ts";
import { type Sampling, sampling, samplingNames, type SamplingOptions } from "./sampling.ts";
import type { Sequence } from "./sequence.ts";
import { createSteering, type Steering } from "./steering.ts";
import { checkMode, type DecodeStrategy, type SpeculationMode, type StrategySource } from "./strategy.ts";
import { writeText } from "./write-text.ts";

/** Options of `generate` and `chat`. */
export interface GenerateOptions extends SamplingOptions, PromptOptions {
  /** Most tokens to write. Default: until the context is full. */
  readonly maxTokens?: number;
  /** The text does not end before so many tokens. Default 0. */
  readonly minTokens?: number;
  /** What the text must be: JSON, a schema, a regular expression, some choices, a grammar. Default: anything. */
  readonly constraint?: Constraint;
  /** Texts of lower numbers go first where texts wait. Default 0. */
  readonly priority?: number;
  /** Tenants get equal shares where texts wait. Default: all texts are one tenant's. */
  readonly tenant?: string;
  /** Name of an adapter that `adapters.load` has given it; the text is written as that adapter taught the model. Default: none. */
  readonly adapter?: string;
  /** Texts with different salts share nothing that was computed, so that nobody can tell by the time it takes what others asked. */
  readonly cacheSalt?: string;
  /**
   * Whether tokens are proposed and verified several at a time, which changes nothing but the speed: "auto" where that is measured to be faster,
   * "always" whenever something can be proposed, "off". Default: as the model was loaded, "auto".
   */
  readonly speculation?: SpeculationMode;
  /** Strings that end the text where they appear; they are not part of it. */
  readonly stop?: string | readonly string[];
  /** Ids that end the text, beside the model's own. */
  readonly stopIds?: readonly number[];
  /** Go on after tokens that would end the text. Default false. */
  readonly ignoreEnd?: boolean;
  /** Leave special tokens out of the text. Default true. */
  readonly skipSpecial?: boolean;
  readonly signal?: AbortSignal;
}

const known: readonly string[] = [
  ...samplingNames,
  ...promptNames,
  "maxTokens",
  "minTokens",
  "constraint",
  "priority",
  "tenant",
  "cacheSalt",
  "adapter",
  "speculation",
  "stop",
  "stopIds",
  "ignoreEnd",
  "skipSpecial",
  "signal",
];

/** Where a prompt's tokens go. */
export interface Place {
  /** Whether the place already has tokens, which a text prompt goes on after. */
  readonly afterOthers: boolean;
  /** A sequence that holds the prompt. */
  prepare(prompt: EncodedPrompt): Sequence;
  /** Ends the writing too. */
  readonly ending?: AbortSignal;
  /** Called once after `prepare` has succeeded and the writing has ended, however it ended. */
  finished?(): void;
}

export type Writer = (prompt: Prompt, options: GenerateOptions, place: Place) => Generation;

export interface WriterParts {
  readonly engine: Engine;
  readonly adapters: Adapters | undefined;
  readonly tokenizer: () => Promise<Tokenizer>;
  readonly template: string | undefined;
  readonly endIds: readonly number[];
  readonly vocabularySize: number;
  /** What may propose tokens. */
  readonly strategies: StrategySource | undefined;
  /** Made when the first constraint is asked for. */
  readonly constraints: () => Promise<ConstraintCompiler>;
}

export function createWriter({ engine, adapters, strategies, constraints, ...parts }: WriterParts): Writer {
  const { tokenizer: tokenizerOf, template, endIds, vocabularySize } = parts;
  let encoder: ReturnType<typeof promptEncoder> | undefined;
  let steering: Steering | undefined;
  const strategyOf = (settled: Sampling, mode: SpeculationMode = strategies?.mode ?? "auto"): DecodeStrategy | undefined => {
    checkMode("generate", mode);
    if (mode === "off" || strategies === undefined) return undefined;
    return (steering ??= createSteering(engine)).steer(strategies.start(settled), mode);
  };
  return (prompt, options, place) => {
    const started = performance.now();
    const signals = [isObject(options) ? options.signal : undefined, place.ending].filter((signal) => signal instanceof AbortSignal);
    return startGeneration(async (emit, signal) => {
      checkOptions("generate", options, known);
      wholeNumber("generate", "maxTokens", options.maxTokens, 0);
      wholeNumber("generate", "minTokens", options.minTokens, 0);
      checkPlace(options);
      if (options.templateVariables !== undefined && !isObject(options.templateVariables))
        throw new FrugalError("FRUGAL_BAD_ARGUMENT", "generate: templateVariables is no object; give values by name");
      signal.throwIfAborted();
      const tokenizer = await tokenizerOf();
      // Rows of the output matrix beyond the vocabulary stand for nothing.
      const settled = sampling(options, Math.min(vocabularySize, tokenizer.vocabularySize));
      encoder ??= promptEncoder(tokenizer, template);
      const encoded = await encoder(prompt, options, place.afterOthers);
      const ends = [...tokenizer.endOfGeneration, ...endIds];
      // Models without a template play both parts of a conversation; the fallback's next turn is where the reply is over.
      const isReply = typeof prompt !== "string" && isConversation(prompt);
      const stop = [...stopsOf(options.stop), ...(isReply && template === undefined ? fallbackTurns : [])];
      const endings = new Set([...(options.ignoreEnd === true ? [] : ends), ...stopIdsOf(options.stopIds, vocabularySize)]);
      const compiled = options.constraint === undefined ? undefined : await (await constraints()).compile(options.constraint, signal);
      const lease = await leaseOf(options.adapter, adapters, signal);
      try {
        const sequence = place.prepare(encoded);
        const writing = writeText(
          {
            engine,
            tokenizer,
            sequence,
            sampling: settled,
            maxTokens: options.maxTokens ?? Infinity,
            minTokens: options.minTokens ?? 0,
            stop,
            endIds: endings,
            continues: encoded.continues,
            skipSpecial: options.skipSpecial ?? true,
            matcher: compiled?.start({ dropsFirstSpace: tokenizer.dropsFirstSpace && !encoded.continues }),
            started,
            request: {
              priority: options.priority,
              tenant: options.tenant,
              namespace: namespaceOf(lease, options.cacheSalt),
              adapter: lease?.slot,
              strategy: strategyOf(settled, options.speculation),
            },
          },
          emit,
          signal,
        );
        return await writing.finally(() => place.finished?.());
      } finally {
        lease?.release();
      }
    }, AbortSignal.any(signals));
  };
}

/** Its slot until it is released. Throws FRUGAL_UNSUPPORTED where the model was loaded without slots. */
async function leaseOf(name: string | undefined, adapters: Adapters | undefined, signal: AbortSignal): Promise<AdapterLease | undefined> {
  if (name === undefined) return undefined;
  if (typeof name !== "string")
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", "generate: adapter is no text; give the name of one that was loaded", {
      option: "adapter",
    });
  if (adapters !== undefined) return adapters.lease(name, signal);
  throw withoutSlots();
}

export const withoutSlots = (): FrugalError =>
  new FrugalError("FRUGAL_UNSUPPORTED", "adapter: the model was loaded without slots for adapters; load it with adapterSlots");

/** What texts of other adapters and salts compute is not theirs to share. */
const namespaceOf = (lease: AdapterLease | undefined, salt: string | undefined): string | undefined =>
  lease === undefined && salt === undefined ? undefined : `${lease?.contentHash ?? ""}:${salt ?? ""}`;

/** @throws FRUGAL_BAD_ARGUMENT */
function checkPlace({ priority, tenant, cacheSalt }: GenerateOptions): void {
  if (priority !== undefined && !Number.isFinite(priority))
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `generate: priority is ${String(priority)}; give a number`, { option: "priority" });
  for (const [option, value] of Object.entries({ tenant, cacheSalt }))
    if (value !== undefined && (typeof value !== "string" || value.length > 256))
      throw new FrugalError("FRUGAL_BAD_ARGUMENT", `generate: ${option} is not a text of at most 256 characters; give one`, { option });
}

const fallbackTurns: readonly string[] = ["\n\nuser:", "\n\nsystem:", "\n\nassistant:"];

function stopsOf(stop: string | readonly string[] | undefined): readonly string[] {
  const stops: unknown = stop === undefined ? [] : typeof stop === "string" ? [stop] : stop;
  if (!Array.isArray(stops) || !stops.every((text) => typeof text === "string"))
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", "generate: stop is neither a string nor a list of strings; give one of these");
  if (stops.includes(""))
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", "generate: stop holds an empty string, which would end every text; leave it out");
  return stops;
}

function stopIdsOf(ids: readonly number[] = [], vocabularySize: number): readonly number[] {
  if (Array.isArray(ids) && ids.every((id) => Number.isInteger(id) && id >= 0 && id < vocabularySize)) return ids;
  throw new FrugalError("FRUGAL_BAD_ARGUMENT", `generate: stopIds is no list of token ids; ids go from 0 to ${vocabularySize - 1}`);
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null && !Array.isArray(value);
