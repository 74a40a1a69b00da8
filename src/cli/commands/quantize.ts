/** frugal quantize: a model in another storage format. */
import { measurePerplexity } from "../../evaluate/perplexity.ts";
import { readWhole } from "../../formats/files.ts";
import { fileTypeNames } from "../../formats/gguf/file-types.ts";
import { printBytes } from "../../tensor/byte-size.ts";
import { quantize as quantizeModel } from "../../techniques/quantize.ts";
import { type Command, type Given, model, UsageError } from "../command.ts";
import { hubSettings } from "../hub-settings.ts";
import { interruptible, openModelOf } from "../open-model.ts";
import { printJson, printLine, progressLine, round } from "../output.ts";

const textLimit = 1 << 30;

export const quantize: Command = {
  name: "quantize",
  summary: "Writes MODEL to OUT, a .gguf file, in another storage format; each number is rounded to the nearest that the format has.",
  arguments: [model, { label: "OUT", help: "the .gguf file to write" }],
  options: [
    { name: "format", value: { label: "NAME", kind: "text" }, help: `as llama-quantize names it: ${fileTypeNames.join(", ")}` },
    { name: "pure", help: "give everything the one format; else the output head, and in mixtures some layers, get more bits" },
    { name: "text", value: { label: "FILE", kind: "text" }, help: "a text whose perplexity is measured before and after" },
    { name: "context", value: { label: "N", kind: "integer", least: 4 }, help: "of --text: tokens in a chunk (default: 512)" },
    { name: "chunks", value: { label: "N", kind: "integer", least: 1 }, help: "of --text: score only the first N chunks" },
  ],
  notes: ["A model that is in blocks already (Q8_0, Q4_K ...) loses more than one in F16 would: quantize the original where you can."],
  run: (given) => interruptible((signal) => run(given, signal)),
};

async function run(given: Given, signal: AbortSignal): Promise<void> {
  const [source, out] = given.arguments as readonly [string, string];
  const format = given.text("format");
  if (format === undefined) throw new UsageError(`quantize: --format is missing; it may be ${fileTypeNames.join(", ")}`);
  const textPath = given.text("text");
  const stray = ["context", "chunks"].find((name) => textPath === undefined && given.flag(name));
  if (stray !== undefined) throw new UsageError(`quantize: --${stray} is about the text to measure; name it with --text`);
  // Read first: a text that is not there should not be found out at the end.
  const text =
    textPath === undefined ? undefined : new TextDecoder("utf-8", { ignoreBOM: true }).decode(await readWhole(textPath, textLimit));
  const progress = progressLine();
  const { before, after, formats } = await quantizeModel(source, {
    format,
    out,
    signal,
    hub: hubSettings(),
    ...(given.flag("pure") ? { pure: true } : {}),
    onOpen: ({ done, total }) => progress.update(`downloading ${printBytes(done)} of ${printBytes(total)}`),
    onProgress: ({ written, total, tensor }) => progress.update(`${tensor}: ${printBytes(written)} of ${printBytes(total)}`),
  }).finally(() => progress.end());
  const measured = async (name: string): Promise<{ perplexity?: number }> =>
    text === undefined ? {} : { perplexity: await perplexityOf(given, name, text, signal) };
  const result = { before: { ...before, ...(await measured(source)) }, after: { ...after, ...(await measured(out)) } };
  if (given.flag("json")) return printJson({ ...result, formats, out });
  const tell = ({ bytes, perplexity }: { readonly bytes: number; readonly perplexity?: number }): string =>
    `${printBytes(bytes)}${perplexity === undefined ? "" : `, perplexity ${round(perplexity, 4)}`}`;
  const stored = Object.entries(formats).map(([name, count]) => `${count} in ${name}`);
  await printLine(`${out}: ${tell(result.before)} -> ${tell(result.after)}; tensors: ${stored.join(", ")}`);
}

async function perplexityOf(given: Given, source: string, text: string, signal: AbortSignal): Promise<number> {
  const context = given.number("context") ?? 512;
  const chunks = given.number("chunks");
  const named: Given = { ...given, arguments: [source] };
  const parts = await openModelOf(named, signal, { context, sequences: 1, outputRows: 64, textFor: "perplexity" });
  try {
    return (await measurePerplexity(parts, text, { context, signal, ...(chunks === undefined ? {} : { chunks }) })).perplexity;
  } finally {
    await parts.dispose();
  }
}
