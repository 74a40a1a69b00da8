/** Every family on the native backend, with each instruction set this machine runs. */
import { describe, test } from "vitest";
import { createNativeBackend, instructionSets } from "../../src/backends/native/backend.ts";
import { checkFixture, fixtures } from "../families.ts";

const found = instructionSets();
const sets = "sets" in found ? found.sets : [];
describe.skipIf(sets.length === 0).each(sets.map((set, i) => [set, i + 1] as const))(
  "native, %s, %d threads",
  (instructionSet, threads) => {
    test.each(fixtures)("$name from $kind gives what the original gives", async (fixture) => {
      const made = createNativeBackend({ threads, instructionSet });
      if ("reason" in made) throw new Error(made.reason);
      await checkFixture(made.backend, fixture, 1e-3);
    });
  },
);
