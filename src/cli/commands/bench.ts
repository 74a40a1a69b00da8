/** frugal bench: tokens per second, measured as llama-bench and llama-batched-bench do. */
import { measureSpeed } from "../../evaluate/speed.ts";
import { cacheOption, type Command, model } from "../command.ts";
import { withModel } from "../open-model.ts";
import { note, peakMemory, printJson, printLine, progressLine, round } from "../output.ts";

export const bench: Command = {
  name: "bench",
  summary: "Measures tokens per second: reading a prompt, writing one text, writing several texts together.",
  arguments: [model],
  options: [
    { name: "prompt", value: { label: "N", kind: "integer", least: 1 }, help: "tokens of the prompt that is read (default: 512)" },
    { name: "generate", value: { label: "N", kind: "integer", least: 2 }, help: "tokens that are written (default: 128)" },
    {
      name: "batch",
      value: { label: "1,4,16", kind: "integers", least: 1 },
      help: "texts written together, each after a prompt of at most 128 tokens (default: 1,4,16)",
    },
    { name: "repeat", value: { label: "N", kind: "integer", least: 1 }, help: "measurements of each (default: 3)" },
    cacheOption,
  ],
  async run(given) {
    const prompt = given.number("prompt") ?? 512;
    const generate = given.number("generate") ?? 128;
    const batch = given.numbers("batch") ?? [1, 4, 16];
    const repeat = given.number("repeat") ?? 3;
    const batchPrompt = Math.min(prompt, 128);
    const most = Math.max(1, ...batch);
    // The cache is one pool of pages; whole pages for each text of the largest batch.
    const context = Math.max(prompt, most * Math.ceil((batchPrompt + generate + 1) / 32) * 32);
    await withModel(given, { context, sequences: most, wantsTokenizer: false }, async (parts, signal) => {
      note(parts.backend.description);
      const progress = progressLine();
      const result = await measureSpeed(parts, {
        prompt,
        generate,
        batch,
        batchPrompt,
        repeat,
        signal,
        onProgress: (what) => progress.update(what),
      });
      progress.end();
      const rounded = ({
        median,
        all,
      }: {
        readonly median: number;
        readonly all: readonly number[];
      }): { median: number; all: number[] } => ({
        median: round(median),
        all: all.map((speed) => round(speed)),
      });
      const batches = result.batch.map(({ sequences, speed }) => {
        const { median, all } = rounded(speed);
        return { sequences, tokens_per_second: median, all };
      });
      const report = { prefill: rounded(result.prefill), decode: rounded(result.decode), batch: batches, peak_rss_bytes: peakMemory() };
      if (given.flag("json")) return printJson(report);
      await printLine(`prefill ${prompt} tokens       ${report.prefill.median} tokens/s`);
      await printLine(`decode ${generate} tokens        ${report.decode.median} tokens/s`);
      for (const { sequences, tokens_per_second } of batches)
        await printLine(`decode ${sequences} texts together  ${tokens_per_second} tokens/s`);
    });
  },
};
