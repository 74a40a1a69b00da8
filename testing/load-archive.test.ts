/** A model inside an archive of Electron's is read by JavaScript: the core could not open such a path. */
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { load } from "../src/serving/model.ts";
import { createNativeBackend } from "../src/backends/native/backend.ts";

const made = createNativeBackend({ threads: 1 });

test.skipIf("reason" in made)("a model under NAME.asar writes what it writes elsewhere", async () => {
  const folder = mkdtempSync(join(tmpdir(), "frugal-archive-"));
  const stories = fileURLToPath(new URL("../models/stories/stories.gguf", import.meta.url));
  mkdirSync(join(folder, "app.asar"));
  cpSync(stories, join(folder, "app.asar/stories.gguf"));
  const texts: string[] = [];
  for (const path of [stories, join(folder, "app.asar/stories.gguf")]) {
    await using model = await load(path, { ...("backend" in made ? made : {}) });
    texts.push((await model.generate("Once", { maxTokens: 8, temperature: 0 })).text);
  }
  rmSync(folder, { recursive: true });
  expect(texts[1]).toBe(texts[0]);
});
