/** All commands. Each is loaded only when it is used: starting is part of the time to the first token. */
import type { Command } from "./command.ts";

interface Entry {
  readonly summary: string;
  load(): Promise<Command>;
}

export const commands: Readonly<Record<string, Entry>> = {
  run: { summary: "write text, or chat where no prompt is given", load: async () => (await import("./commands/run.ts")).run },
  logits: { summary: "the logits after given token ids", load: async () => (await import("./commands/logits.ts")).logits },
  forward: {
    summary: "run a model on named tensors of a safetensors file",
    load: async () => (await import("./commands/forward.ts")).forward,
  },
  tokenize: { summary: "text to token ids", load: async () => (await import("./commands/tokenize.ts")).tokenize },
  detokenize: { summary: "token ids to text", load: async () => (await import("./commands/detokenize.ts")).detokenize },
  embed: { summary: "texts to vectors", load: async () => (await import("./commands/embed.ts")).embed },
  perplexity: { summary: "how well a model predicts a text file", load: async () => (await import("./commands/perplexity.ts")).perplexity },
  bench: { summary: "tokens per second", load: async () => (await import("./commands/bench.ts")).bench },
  "bench serve": { summary: "what a server is like under load", load: async () => (await import("./commands/bench-serve.ts")).benchServe },
  inspect: { summary: "what a model file holds and needs", load: async () => (await import("./commands/inspect.ts")).inspect },
  serve: { summary: "serve a model over HTTP", load: async () => (await import("./commands/serve.ts")).serve },
  merge: { summary: "make an adapter part of its model", load: async () => (await import("./commands/merge.ts")).merge },
  quantize: { summary: "write a model in another storage format", load: async () => (await import("./commands/quantize.ts")).quantize },
  tune: { summary: "tune a model to examples", load: async () => (await import("./commands/tune.ts")).tune },
  train: { summary: "train a model by a recipe", load: async () => (await import("./commands/train.ts")).train },
  doctor: { summary: "which backend runs here, and why", load: async () => (await import("./commands/doctor.ts")).doctor },
  pull: { summary: "download a model", load: async () => (await import("./commands/pull.ts")).pull },
};
