/** frugal tokenize: text to token ids. */
import { openCheckpoint } from "../../models/open-checkpoint.ts";
import { type Command, model } from "../command.ts";
import { hubSettings } from "../hub-settings.ts";
import { interruptible } from "../open-model.ts";
import { printJson, printLine } from "../output.ts";

export const tokenize: Command = {
  name: "tokenize",
  summary: "Prints the token ids of TEXT and the piece of text each stands for.",
  arguments: [model, { label: "TEXT", help: "the text" }],
  options: [
    { name: "no-special", help: "leave out what the model expects around a text (BOS and the like)" },
    { name: "special", help: "let special tokens written in TEXT become their ids" },
  ],
  run: (given) =>
    interruptible(async (signal) => {
      const opened = await openCheckpoint(given.arguments[0]!, { signal, hub: hubSettings() });
      try {
        const tokenizer = await opened.tokenizer();
        const ids = [
          ...tokenizer.encode(given.arguments[1]!, { addSpecial: !given.flag("no-special"), parseSpecial: given.flag("special") }),
        ];
        const pieces = ids.map((id) => tokenizer.pieceText(id));
        if (given.flag("json")) await printJson({ ids, pieces });
        else for (const [i, id] of ids.entries()) await printLine(`${String(id).padStart(7)}  ${JSON.stringify(pieces[i])}`);
      } finally {
        await opened.close();
      }
    }),
};
