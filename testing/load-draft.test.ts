/** `load` with a draft: its options, and that it proposes. */
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { load } from "../src/load.ts";

const family = (name: string): string => fileURLToPath(new URL(`./fixtures/families/${name}`, import.meta.url));
const options = { backend: "reference", context: 64 } as const;

test("load takes a draft and a mode, and checks both", async () => {
  const opening = (more: object): Promise<unknown> => load(family("llama-3"), { ...options, ...more });
  await expect(opening({ draft: "" })).rejects.toMatchObject({ code: "FRUGAL_BAD_ARGUMENT", message: /draft is "".*name of a model/ });
  await expect(opening({ speculation: "sometimes" })).rejects.toMatchObject({
    message: /load: speculation is "sometimes"; it may be auto/,
  });
  await using model = await load(family("llama-3"), { ...options, draft: family("llama-3"), speculation: "always" });
  await model.generate("the cat", { maxTokens: 9, ignoreEnd: true });
  expect(model.stats().acceptedTokens).toBe(7);
});

test("without a draft earlier text is looked up", async () => {
  await using model = await load(family("llama-3"), { ...options, speculation: "always" });
  await model.generate([5, 6, 7, 8, 5, 6, 7, 8, 5, 6], { maxTokens: 9, ignoreEnd: true });
  expect(model.stats().draftedTokens).toBeGreaterThan(0);
});
