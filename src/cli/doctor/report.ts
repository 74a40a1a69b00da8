/** What `frugal doctor` says, as its JSON has it. Fields are added, never renamed: scripts read them. */

export interface BackendReport {
  readonly name: "native" | "wasm" | "reference";
  /** The instruction set or kind of SIMD, where the backend has several. */
  readonly variant?: string;
  readonly runs: boolean;
  /** What it is where it runs. */
  readonly description?: string;
  /** Why it does not run. */
  readonly reason?: string;
  /** Where its binary was looked for, in order; without `reason` it was found there. */
  readonly tried?: readonly { readonly kind: string; readonly file: string; readonly reason?: string }[];
  /** Instruction sets of the native core that this processor runs, best first. */
  readonly sets?: readonly string[];
  /** Tokens a second of the embedded model, one text; not with `--quick`. */
  readonly tokens_per_second?: number;
  /** What went wrong while it was measured. */
  readonly fault?: string;
}

export interface DoctorReport {
  readonly version: string;
  /** "node", "bun", "deno" or "electron", and their versions. */
  readonly runtime: { readonly name: string; readonly version: string; readonly node: string; readonly v8: string };
  /** As the packages of the native core are named: linux-x64, linux-x64-musl, darwin-arm64. */
  readonly platform: string;
  /** The package with the native core for this platform; null where there is none. */
  readonly native_package: string | null;
  readonly processor: {
    readonly model: string;
    readonly cores: number;
    /** As many threads as this process may use. */
    readonly threads: number;
    readonly features: readonly string[];
  };
  readonly memory: {
    readonly total_bytes: number;
    readonly free_bytes: number;
    /** What the system allows this process (a container, for instance); null where it sets no limit. */
    readonly limit_bytes: number | null;
  };
  readonly cache: { readonly path: string; readonly free_bytes: number | null };
  /** The C++ compiler that set-up would take; null where the PATH has none. */
  readonly compiler: string | null;
  /** The backend that runs where none is asked for ("none" where none does), and why that one. */
  readonly backend: string;
  readonly why: string;
  readonly backends: readonly BackendReport[];
  /** What would make it faster, or work; the most useful first. */
  readonly advice: readonly string[];
}
