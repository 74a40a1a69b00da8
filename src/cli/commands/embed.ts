/** frugal embed: texts to vectors. */
import { embedTexts } from "../../serving/embed.ts";
import { type Command, contextOption, model } from "../command.ts";
import { withModel } from "../open-model.ts";
import { printJson, printLine } from "../output.ts";

export const embed: Command = {
  name: "embed",
  summary: "Prints one vector for each TEXT.",
  arguments: [model, { label: "TEXT", help: "a text, in quotes", many: true }],
  options: [
    { name: "normalize", help: "divide each vector by its length, also where the model itself does not" },
    { name: "truncate", help: "cut texts that are longer than the context" },
    contextOption,
  ],
  run: (given) =>
    withModel(given, {}, async (parts, signal) => {
      const vectors = await embedTexts(parts, given.arguments.slice(1), {
        truncate: given.flag("truncate"),
        signal,
        ...(given.flag("normalize") ? { normalize: true } : {}),
      });
      const embeddings = vectors.map((vector) => Array.from(vector));
      if (given.flag("json")) return printJson({ dimensions: parts.model.embeddingSize, embeddings });
      for (const embedding of embeddings) await printLine(embedding.map((x) => x.toFixed(6)).join(" "));
    }),
};
