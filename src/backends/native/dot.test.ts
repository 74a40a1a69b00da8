import { expect, it } from "vitest";
import { symbol } from "../../graph/dim.ts";
import { createBuilder } from "../../ops/builder.ts";
import { createNativeBackend } from "./backend.ts";

const native = createNativeBackend({ threads: 1 });

it.skipIf("reason" in native)("dot of sizes known only at run time is refused by name", async () => {
  const b = createBuilder();
  const x = b.input("x", { shape: [symbol("T"), 3], type: "f32" });
  const graph = { outputs: new Map([["y", b.dot(x, x)]]) };
  const loading = "backend" in native ? native.backend.load({ main: graph }, new Map(), { caps: { T: 4, S: 1, C: 1, R: 1 } }) : undefined;
  await expect(loading).rejects.toMatchObject({ code: "FRUGAL_UNSUPPORTED", message: expect.stringContaining("dot of [T, 3]") as string });
});
