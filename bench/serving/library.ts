/**
 * What experiments use of Frugal. They run from bench/build/ against dist/, and their tests against src/: so it is given to them, and its
 * shape is written here, where the compiler holds it against the sources through those tests.
 */

export interface Pages {
  readonly total: number;
  free(): number;
  take(): number | undefined;
  giveBack(page: number): void;
}

export interface TraceRow {
  readonly at: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
}

export interface Written {
  readonly ids: readonly number[];
  readonly promptIds: readonly number[];
  readonly timings: { readonly cachedTokens: number; readonly timeToFirstToken: number };
}

export interface WriteOptions {
  readonly maxTokens: number;
  readonly ignoreEnd: boolean;
  readonly temperature?: number;
  readonly seed?: number;
  readonly signal?: AbortSignal;
}

export interface Step {
  readonly milliseconds: number;
  readonly overheadMilliseconds: number;
  readonly rows: number;
  readonly decodeRows: number;
}

export interface Model extends AsyncDisposable {
  readonly contextLength: number;
  generate(prompt: readonly number[], options: WriteOptions): AsyncIterable<unknown> & PromiseLike<Written>;
  stats(): { readonly pages: Readonly<Record<string, { readonly total: number; readonly free: number; readonly cached: number }>> };
  onStep(listener: (step: Step) => void): () => void;
}

export interface LoadOptions {
  readonly context?: number;
  readonly sequences?: number;
  readonly threads?: number;
  readonly cacheTokens?: number;
  readonly prefixCache?: boolean;
  readonly latencyGoal?: number;
  readonly signal?: AbortSignal;
}

export interface Library {
  load(source: string, options: LoadOptions, limits?: { readonly rows?: number }): Promise<Model>;
  serve(
    model: Model,
    options: { readonly port: number; readonly log: "silent" },
  ): Promise<{ readonly url: string; close(): Promise<void> }>;
  uniform(seed: number, position: number): number;
  createPages(total: number): Pages;
  lognormal(mean: number, spread: number, seed: number, position: number): number;
  arrivalTimes(arrivals: { readonly count: number; readonly rate: number; readonly burstiness: number; readonly seed: number }): number[];
  readTrace(text: string, name: string, most?: number): TraceRow[];
}

/** From dist/, which set-up has built. */
export async function loadLibrary(): Promise<Library> {
  // From bench/build/serving/, where this runs.
  const part = async (path: string): Promise<unknown> => import(new URL(`../../../dist/${path}`, import.meta.url).href);
  const parts = await Promise.all(
    [
      "serving/model.js",
      "server/serve.js",
      "tensor/random.js",
      "serving/pages.js",
      "evaluate/load/arrivals.js",
      "evaluate/load/traces.js",
    ].map(part),
  );
  return Object.assign({}, ...parts) as Library;
}
