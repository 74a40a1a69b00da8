/** Every family on every backend of the C++ core. */
import { describe, test } from "vitest";
import { coreBackends } from "../backends.ts";
import { checkFixture, fixtures } from "../families.ts";

describe.each(coreBackends.map((backend, i) => ({ ...backend, threads: (i % 3) + 1 })))(
  "$name, $threads threads",
  ({ create, threads }) => {
    const backend = create(threads);
    test.each(fixtures)("$name from $kind gives what the original gives", async (fixture) => {
      await checkFixture(await backend, fixture, 1e-3);
    });
  },
);
