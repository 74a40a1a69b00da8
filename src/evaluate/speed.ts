/** Tokens per second: reading a prompt, writing one text, writing several together. */
import type { ModelParts } from "../serving/load-parts.ts";
import { philox } from "../tensor/random.ts";
import { createSequence } from "../serving/sequence.ts";
import { FrugalError } from "../tensor/error.ts";

export interface SpeedOptions {
  /** Tokens of the prompt that is read; 0 leaves this measurement out. */
  readonly prompt: number;
  /** Tokens that are written after a first one; 0 leaves this out. */
  readonly generate: number;
  /** Texts written together, for each measurement of that. */
  readonly batch: readonly number[];
  /** Tokens of the prompt of each text in a batch. */
  readonly batchPrompt: number;
  readonly repeat: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (what: string) => void;
}

export interface Speed {
  readonly median: number;
  readonly all: readonly number[];
}

export interface Speeds {
  /** Absent where it was left out. */
  readonly prefill?: Speed;
  readonly decode?: Speed;
  readonly batch: readonly { readonly sequences: number; readonly speed: Speed }[];
}

/** In tokens per second. The first, unmeasured, run of each warms up. */
export async function measureSpeed(parts: ModelParts, options: SpeedOptions): Promise<Speeds> {
  const { prompt, generate, batchPrompt, onProgress } = options;
  const repeated = async (what: string, measure: (salt: number) => Promise<number>): Promise<Speed> => {
    const all: number[] = [];
    for (let i = 0; i <= options.repeat; i++) {
      onProgress?.(`${what}: ${i === 0 ? "warming up" : `${i} of ${options.repeat}`}`);
      const speed = await measure(i);
      if (i > 0) all.push(speed);
    }
    return { median: median(all), all };
  };
  const batch = [];
  const readPrompt = async (salt: number): Promise<number> => {
    const started = performance.now();
    const [times] = await write(parts, [randomIds(parts, prompt, salt)], 1, options.signal);
    return perSecond(prompt, times![0]! - started);
  };
  const writeText = async (salt: number): Promise<number> => {
    const started = performance.now();
    const [times] = await write(parts, [randomIds(parts, 1, salt)], generate, options.signal);
    return perSecond(generate, times!.at(-1)! - started);
  };
  const prefill = prompt > 0 ? await repeated("prefill", readPrompt) : undefined;
  const decode = generate > 0 ? await repeated("decode", writeText) : undefined;
  for (const sequences of options.batch) {
    const speed = await repeated(`${sequences} texts`, async (salt) => {
      const prompts = Array.from({ length: sequences }, (_, i) => randomIds(parts, batchPrompt, 1000 * salt + i));
      return togetherSpeed(await write(parts, prompts, generate + 1, options.signal));
    });
    batch.push({ sequences, speed });
  }
  return { ...(prefill && { prefill }), ...(decode && { decode }), batch };
}

/**
 * Tokens per second while all texts are being written: from the last one's first token to the first one's last. Where some end before others
 * begin, from the first token of all to the last.
 */
export function togetherSpeed(times: readonly (readonly number[])[]): number {
  const all = times.flat();
  const between = (from: number, to: number): number => perSecond(all.filter((time) => time > from && time <= to).length, to - from);
  const begun = Math.max(...times.map((own) => own[0]!));
  const ended = Math.min(...times.map((own) => own.at(-1)!));
  return begun < ended ? between(begun, ended) : between(Math.min(...all), Math.max(...all));
}

/** Writes texts greedily, whatever they say; the time of each token by performance.now(). */
async function write(
  parts: ModelParts,
  prompts: readonly (readonly number[])[],
  count: number,
  signal: AbortSignal | undefined,
): Promise<number[][]> {
  const { engine } = parts;
  if (engine === undefined)
    throw new FrugalError("FRUGAL_UNSUPPORTED", `bench: ${parts.opened.name} is an encoder and writes no text; take a text model`);
  return Promise.all(
    prompts.map(async (prompt) => {
      const sequence = createSequence(prompt);
      const times: number[] = [];
      await engine.run({
        sequence,
        readFrom: Number.MAX_SAFE_INTEGER,
        // The same prompts again must be computed again.
        reuses: false,
        signal,
        read(position, _, likeliest) {
          if (position < sequence.tokens.length - 1) return "more";
          sequence.tokens.push(likeliest);
          times.push(performance.now());
          return times.length < count ? "more" : "done";
        },
      });
      return times;
    }),
  );
}

const randomIds = ({ model: { vocabularySize } }: ModelParts, count: number, salt: number): number[] =>
  Array.from({ length: count }, (_, i) => philox([i, salt, 0, 0], [1, 0])[0] % vocabularySize);

const perSecond = (tokens: number, milliseconds: number): number => (tokens * 1000) / Math.max(milliseconds, 1e-3);

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
