import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { openCheckpoint } from "../open-checkpoint.ts";
import { embeddedNames, embeddedPath } from "./names.ts";

it("a name stands for a file of the package, whatever the folder", () => {
  const root = fileURLToPath(new URL("../../../", import.meta.url));
  for (const name of embeddedNames) expect(embeddedPath(name)).toBe(join(root, "models", name, `${name}.gguf`));
});

it("paths and other names stand for themselves", () => {
  for (const name of ["./stories", "stories/", "stories.gguf", "models/stories", "toString", ""])
    expect(embeddedPath(name)).toBeUndefined();
});

it("a misspelt name is told the nearest, and a path what there is to name", async () => {
  await expect(openCheckpoint("storys")).rejects.toThrow(
    /storys: there is no such file or directory; did you mean the embedded model "stories"/,
  );
  await expect(openCheckpoint("no/such/file.gguf")).rejects.toThrow(/name a \.gguf file, .* or an embedded model: stories/);
  await expect(openCheckpoint("")).rejects.toThrow(/no model is named; name a \.gguf file, .* or an embedded model: stories/);
});

it("a folder of that name is meant by its path", async () => {
  const folder = mkdtempSync(join(tmpdir(), "frugal-stories-"));
  await expect(openCheckpoint(folder)).rejects.toThrow(/has no config\.json/);
  rmSync(folder, { recursive: true });
});
