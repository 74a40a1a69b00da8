/** frugal merge: an adapter made part of its base, or written in another format. */
import { openModel } from "../../models/index.ts";
import { openCheckpoint } from "../../models/open-checkpoint.ts";
import { printBytes } from "../../tensor/byte-size.ts";
import { adapterOptions, type Command, type Given, model, UsageError } from "../command.ts";
import { hubSettings } from "../hub-settings.ts";
import { interruptible } from "../open-model.ts";
import { printJson, printLine, progressLine } from "../output.ts";

export const merge: Command = {
  name: "merge",
  summary: "Makes ADAPTER part of MODEL and writes OUT: a .gguf file where MODEL is one, else a directory in Hugging Face layout.",
  arguments: [
    model,
    { label: "ADAPTER", help: "a directory that PEFT or frugal tune wrote, a .safetensors file of one, or a GGUF file of a LoRA" },
    { label: "OUT", help: "where to write" },
  ],
  options: [
    {
      name: "format",
      value: { label: "NAME", kind: "text" },
      help: "what matrices are stored as: F16, BF16, F32, Q8_0, Q4_K ..., or same: each as it was (default: same)",
    },
    {
      name: "adapter-only",
      help: "write no model, only the adapter: as GGUF for llama.cpp's --lora where OUT ends in .gguf, else for PEFT",
    },
    ...adapterOptions.filter(({ name }) => name !== "adapter"),
  ],
  notes: ["A weight that is stored in blocks is decoded, changed in F32, and encoded again in its own format."],
  run: (given) => interruptible((signal) => run(given, signal)),
};

async function run(given: Given, signal: AbortSignal): Promise<void> {
  const [source, path, out] = given.arguments as readonly [string, string, string];
  const text = given.text("format");
  const format = text === undefined || text.toLowerCase() === "same" ? undefined : text;
  if (given.flag("adapter-only") && format !== undefined)
    throw new UsageError("merge: --adapter-only writes no model; leave --format away");
  const { openAdapter } = await import("../../techniques/tuning/open-adapter.ts");
  const progress = progressLine();
  const opened = await openCheckpoint(source, { signal, hub: hubSettings() });
  try {
    const base = openModel(opened.checkpoint);
    const adapter = await openAdapter(path, opened.checkpoint, base, { signal, alpha: given.number("adapter-alpha") });
    if (given.flag("adapter-only")) {
      const { writeAdapter } = await import("../../techniques/tuning/write-adapter.ts");
      await writeAdapter(out, opened, base, adapter, signal);
      return await (given.flag("json") ? printJson({ out }) : printLine(`${out}: the adapter alone`));
    }
    const { mergeInto } = await import("../../techniques/tuning/merge-files.ts");
    const { changed, formats } = await mergeInto(out, opened, adapter, {
      format,
      signal,
      onProgress: ({ written, total, tensor }) => progress.update(`${tensor}: ${printBytes(written)} of ${printBytes(total)}`),
    });
    progress.end();
    if (given.flag("json")) return await printJson({ out, changed, formats });
    const stored = Object.entries(formats).map(([name, count]) => `${count} in ${name}`);
    await printLine(`${out}: ${changed} weights changed; tensors: ${stored.join(", ")}`);
  } finally {
    progress.end();
    await opened.close();
  }
}
