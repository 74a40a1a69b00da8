/** The models that come with the package: there, small, what their recipes say, and able to write. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { embeddedNames, embeddedPath } from "../../src/models/embedded/names.ts";
import { load } from "../../src/serving/model.ts";
import { readRecipe } from "../../src/training/recipe.ts";

const megabytes = 1e6;

describe.each(embeddedNames)("%s", (name) => {
  const path = embeddedPath(name)!;
  const beside = (file: string): string => join(dirname(path), file);
  const recipe = readRecipe("recipe.json", readFileSync(beside("recipe.json")));
  // A checkout in which the model is being made again; the package is never without it.
  const missing = !existsSync(path) && process.env["CI"] === undefined;

  it("has a recipe for a model that begins anew", () => {
    expect(recipe.model).toHaveProperty("config");
    expect(recipe.model).toHaveProperty("tokenizer.vocabulary");
    expect(readFileSync(beside("README.md"), "utf8")).toMatch(/## Licence\n/);
  });

  it.skipIf(missing)("is small, with its learning curve beside it", () => {
    expect(statSync(path).size).toBeLessThanOrEqual(4 * megabytes);
    expect(readFileSync(beside("curve.svg"), "utf8")).toMatch(/^<svg /);
  });

  it.skipIf(missing)("is the model of its recipe, by its name alone, and goes on with a story", async () => {
    const model = await load(name, { backend: "reference", context: 64, sequences: 1 });
    const { config } = recipe.model as { readonly config: Readonly<Record<string, number>> };
    expect(model.inspect().config).toMatchObject({
      vocabulary: config["vocab_size"],
      width: config["hidden_size"],
      layers: config["num_hidden_layers"],
    });
    const { text } = await model.generate("Once upon a time", { maxTokens: 16, temperature: 0 });
    expect(text).toMatch(/^, there was/);
    const chatted = await model.generate([{ role: "user", content: "Once upon a time" }], { maxTokens: 4, temperature: 0 });
    expect(chatted.promptIds).toHaveLength((await model.tokenizer()).encode("Once upon a time").length);
    await model.dispose();
  });
});
