/** frugal detokenize: token ids to text. */
import { openCheckpoint } from "../../models/open-checkpoint.ts";
import { type Command, idsOption, model, UsageError } from "../command.ts";
import { hubSettings } from "../hub-settings.ts";
import { interruptible } from "../open-model.ts";
import { printJson, printLine } from "../output.ts";

export const detokenize: Command = {
  name: "detokenize",
  summary: "Prints the text of token ids.",
  arguments: [model],
  options: [idsOption, { name: "skip-special", help: "leave special tokens out" }],
  run: (given) =>
    interruptible(async (signal) => {
      const ids = given.numbers("ids");
      if (ids === undefined) throw new UsageError("detokenize: --ids is missing: --ids 1,2,3");
      const opened = await openCheckpoint(given.arguments[0]!, { signal, hub: hubSettings() });
      try {
        const text = (await opened.tokenizer()).decode(ids, { skipSpecial: given.flag("skip-special") });
        await (given.flag("json") ? printJson({ text }) : printLine(text));
      } finally {
        await opened.close();
      }
    }),
};
