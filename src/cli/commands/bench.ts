/** frugal bench: tokens per second, measured as llama-bench and llama-batched-bench do. */
import { measureSpeed, type Speed } from "../../evaluate/speed.ts";
import { cacheOption, type Command, model, UsageError } from "../command.ts";
import { withModel } from "../open-model.ts";
import { note, peakMemory, printJson, printLine, progressLine, round } from "../output.ts";

export const bench: Command = {
  name: "bench",
  summary: "Measures tokens per second: reading a prompt, writing one text, writing several texts together.",
  arguments: [model],
  options: [
    { name: "prompt", value: { label: "N", kind: "integer", least: 0 }, help: "tokens of the prompt that is read; 0: none (default: 512)" },
    { name: "generate", value: { label: "N", kind: "integer", least: 0 }, help: "tokens that are written; 0: none (default: 128)" },
    {
      name: "batch",
      value: { label: "1,4,16", kind: "integers", least: 0 },
      help: "texts written together, each after a prompt of at most 128 tokens; 0: none (default: 1,4,16)",
    },
    { name: "repeat", value: { label: "N", kind: "integer", least: 1 }, help: "measurements of each (default: 3)" },
    cacheOption,
  ],
  async run(given) {
    const prompt = given.number("prompt") ?? 512;
    const generate = given.number("generate") ?? 128;
    const batch = (given.numbers("batch") ?? (generate === 0 ? [] : [1, 4, 16])).filter((sequences) => sequences > 0);
    if (generate === 0 && batch.length > 0)
      throw new UsageError(`--generate 0 writes nothing, so --batch ${batch.join(",")} has nothing to measure; leave one of them out`);
    const repeat = given.number("repeat") ?? 3;
    const batchPrompt = prompt === 0 ? 128 : Math.min(prompt, 128);
    const most = Math.max(1, ...batch);
    const each = batchPrompt + generate + 1;
    // The cache is one pool of pages; whole pages for each text of the largest batch.
    const cacheTokens = most * Math.ceil(each / 32) * 32;
    const context = Math.max(prompt + 1, batch.length > 0 ? each : generate + 1);
    await withModel(given, { context, cacheTokens, sequences: most, wantsTokenizer: false, textFor: "bench" }, async (parts, signal) => {
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
      const batches = result.batch.map(({ sequences, speed }) => {
        const { median, all } = rounded(speed);
        return { sequences, tokens_per_second: median, all };
      });
      const { prefill, decode } = result;
      const report = {
        ...(prefill && { prefill: rounded(prefill) }),
        ...(decode && { decode: rounded(decode) }),
        batch: batches,
        peak_rss_bytes: peakMemory(),
      };
      if (given.flag("json")) return printJson(report);
      if (report.prefill) await printLine(`prefill ${prompt} tokens       ${report.prefill.median} tokens/s`);
      if (report.decode) await printLine(`decode ${generate} tokens        ${report.decode.median} tokens/s`);
      for (const { sequences, tokens_per_second } of batches)
        await printLine(`decode ${sequences} texts together  ${tokens_per_second} tokens/s`);
    });
  },
};

const rounded = ({ median, all }: Speed): Speed => ({ median: round(median), all: all.map((speed) => round(speed)) });
