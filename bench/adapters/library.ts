/** What the bench of adapters uses of Frugal, from dist/, which set-up has built. */

export interface WriteOptions {
  readonly maxTokens: number;
  readonly ignoreEnd: true;
  readonly temperature: 0;
  readonly adapter?: string;
}

export interface Model extends AsyncDisposable {
  readonly backend: { readonly description: string };
  readonly adapters: { load(name: string, path: string): Promise<unknown> };
  generate(prompt: readonly number[], options: WriteOptions): PromiseLike<{ readonly ids: readonly number[] }>;
  onStep(
    listener: (step: {
      readonly milliseconds: number;
      readonly overheadMilliseconds: number;
      readonly rows: number;
      readonly decodeRows: number;
    }) => void,
  ): () => void;
}

interface Numbers {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}
export interface Opened {
  readonly weights: ReadonlyMap<string, { readonly shape: readonly number[] }>;
}

export interface Library {
  load(source: string, options: object): Promise<Model>;
  openCheckpoint(source: string): Promise<{ readonly checkpoint: unknown; close(): Promise<void> }>;
  openModel(checkpoint: unknown): Opened;
  writePeftAdapter(
    path: string,
    model: Opened,
    adapter: { readonly config: object; readonly weights: ReadonlyMap<string, Numbers> },
  ): Promise<void>;
  normalNumbers(seed: number, name: string, shape: readonly number[], spread: number): Float32Array;
}

export async function openLibrary(): Promise<Library> {
  // From bench/build/adapters/, where this runs.
  const part = async (path: string): Promise<unknown> => import(new URL(`../../../dist/${path}`, import.meta.url).href);
  const names = ["index", "models/open-checkpoint", "models/index", "techniques/tuning/peft-write", "techniques/tuning/initial-numbers"];
  const parts = await Promise.all(names.map((name) => part(`${name}.js`)));
  return Object.assign({}, ...parts) as Library;
}
