/** Every family against the original implementation, from either file format; on the native backend too, where it is built. */
import { expect, test } from "vitest";
import { checkFixture, fixtures } from "../../testing/families.ts";
import { createNativeBackend } from "../backends/native/backend.ts";
import { createReferenceBackend } from "../backends/reference/backend.ts";
import { families } from "./index.ts";

test.each(fixtures)("$name from $kind gives what the original gives", async (fixture) => {
  await checkFixture(createReferenceBackend(), fixture, 1e-4);
});

const native = createNativeBackend({ threads: 1 });
test.skipIf("reason" in native).each(fixtures)("$name from $kind, on the native backend", async (fixture) => {
  if ("backend" in native) await checkFixture(native.backend, fixture, 1e-4);
});

test("no two families claim the same name", () => {
  for (const names of [families.map((f) => f.modelTypes), families.map((f) => f.ggufArchitectures), families.map((f) => [f.name])])
    expect(new Set(names.flat()).size).toBe(names.flat().length);
});
