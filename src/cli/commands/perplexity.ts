/** frugal perplexity: how well a model predicts a text file. */
import { measurePerplexity } from "../../evaluate/perplexity.ts";
import { readWhole } from "../../formats/files.ts";
import { adapterOptions, cacheOption, type Command, model } from "../command.ts";
import { withModel } from "../open-model.ts";
import { printJson, printLine, progressLine, round } from "../output.ts";

const fileLimit = 1 << 30;

export const perplexity: Command = {
  name: "perplexity",
  summary: "Prints the perplexity of FILE as llama.cpp counts it: chunks of the context's length, the second half of each scored.",
  arguments: [model, { label: "FILE", help: "a text file" }],
  options: [
    { name: "context", value: { label: "N", kind: "integer", least: 4 }, help: "tokens in a chunk (default: 512)" },
    { name: "chunks", value: { label: "N", kind: "integer", least: 1 }, help: "score only the first N chunks" },
    ...adapterOptions,
    cacheOption,
  ],
  async run(given) {
    const context = given.number("context") ?? 512;
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(await readWhole(given.arguments[1]!, fileLimit));
    await withModel(given, { context, sequences: 1, outputRows: 64, textFor: "perplexity" }, async (parts, signal) => {
      const progress = progressLine();
      const chunks = given.number("chunks");
      const result = await measurePerplexity(parts, text, {
        context,
        signal,
        ...(chunks === undefined ? {} : { chunks }),
        onProgress: ({ chunk, of, perplexity: soFar }) => progress.update(`chunk ${chunk} of ${of}: ${soFar.toFixed(4)}`),
      });
      progress.end();
      if (given.flag("json"))
        return printJson({ perplexity: result.perplexity, standard_error: result.standardError, tokens: result.tokens });
      await printLine(`perplexity ${round(result.perplexity, 4)} +- ${round(result.standardError, 4)} over ${result.tokens} tokens`);
    });
  },
};
