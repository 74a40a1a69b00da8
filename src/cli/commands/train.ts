/** frugal train: what a recipe says. */
import type { BackendName } from "../../backends/choose.ts";
import { readWhole } from "../../formats/files.ts";
import { trainRecipe } from "../../techniques/train.ts";
import { besideRecipe } from "../../training/recipe-data.ts";
import { readRecipe } from "../../training/recipe.ts";
import { type Command, UsageError } from "../command.ts";
import { hubSettings } from "../hub-settings.ts";
import { runOptions, runTuning } from "../training.ts";

const largestRecipe = 1 << 24;

export const train: Command = {
  name: "train",
  summary: "Trains what RECIPE says: a model that begins anew, or one that is tuned.",
  arguments: [{ label: "RECIPE", help: "a JSON file: model, data, steps, ..." }],
  options: [
    { name: "out", value: { label: "DIR", kind: "text" }, help: "the folder for the result, in place of the recipe's" },
    ...runOptions,
  ],
  notes: ["Paths in a recipe are seen from its folder."],
  async run(given) {
    const [path] = given.arguments as readonly [string];
    const backend = given.text("backend");
    const recipe = readRecipe(path, await readWhole(path, largestRecipe));
    const out = given.text("out") ?? (recipe.out === undefined ? undefined : besideRecipe(path, recipe.out));
    if (out === undefined) throw new UsageError('train: --out is missing, and the recipe has no "out"; name the folder for the result');
    await runTuning(given, out, (signal, parallel) =>
      trainRecipe(path, recipe, {
        out,
        resume: given.flag("resume"),
        backend: backend as BackendName | undefined,
        threads: given.number("threads"),
        hub: hubSettings(),
        parallel,
        signal,
      }),
    );
  },
};
