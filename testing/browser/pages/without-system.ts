/** What a page or a worker does with a model's bytes where there is no system: tunes it, loads the adapter beside it, and stores it coarser. */
import { load } from "../../../src/load.ts";
import { memorySink } from "../../../src/formats/sink.ts";
import { techniques } from "../../../src/techniques/index.ts";
import { quantize } from "../../../src/techniques/quantize.ts";
import { tune } from "../../../src/techniques/tune.ts";
import { bytesSource } from "../../../src/tensor/source.ts";

export interface Done {
  readonly losses: readonly number[];
  readonly adapter: { readonly config: string; readonly bytes: Uint8Array };
  readonly before: readonly number[];
  readonly after: readonly number[];
  readonly quantized: Uint8Array;
  readonly refused: string;
}

export async function tuneAndQuantize(bytes: Uint8Array): Promise<Done> {
  const files = (): { name: string; files: Map<string, ReturnType<typeof bytesSource>> } => ({
    name: "stories",
    files: new Map([["stories.gguf", bytesSource("stories.gguf", bytes)]]),
  });
  const settings = { backend: "reference", context: 64, adapterSlots: { count: 1, rank: 4 } } as const;
  const model = await load(files(), settings);
  const examples = [{ prompt: "Once upon a time", completion: " zig zag zig zag" }];
  const training = tune(model, examples, techniques.lora({ rank: 4 }), { steps: 6, examplesPerStep: 1, learningRate: 0.02, order: "file" });
  const { losses, adapter } = await training;
  const made = await adapter();
  await model.adapters.load("zig", made);
  const ask = async (options: object): Promise<readonly number[]> =>
    (await model.generate("Once upon a time", { maxTokens: 4, temperature: 0, ...options })).ids;
  const [before, after] = [await ask({}), await ask({ adapter: "zig" })];
  await model.dispose();
  const sink = memorySink("coarse.gguf");
  await quantize(files(), { format: "Q4_0", out: sink });
  const refused = await load("model.gguf").then(
    () => "",
    (error: unknown) => String(error),
  );
  return {
    losses,
    adapter: { config: made["adapter_config.json"], bytes: made["adapter_model.safetensors"] },
    before,
    after,
    quantized: sink.bytes(),
    refused,
  };
}

// As a worker of a page: the model's address in, what was done out.
if ("DedicatedWorkerGlobalScope" in globalThis)
  addEventListener("message", ({ data }: MessageEvent<string>) => {
    fetch(data)
      .then(async (response) => tuneAndQuantize(new Uint8Array(await response.arrayBuffer())))
      .then(
        (done) => postMessage(done),
        (error: unknown) => postMessage({ failed: String(error) }),
      );
  });
