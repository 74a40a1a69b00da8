/** Which layers have a page table of their own. */
import { describe, expect, it } from "vitest";
import { symbol } from "../graph/dim.ts";
import { inOrder, sourceName } from "../graph/value.ts";
import { createBuilder } from "../ops/builder.ts";
import { cachedContext, windowOf } from "./context.ts";

function tablesOf(windows: readonly (number | undefined)[], contextLength: number): string[] {
  const b = createBuilder();
  const context = cachedContext(b, contextLength);
  const x = b.input("x", { shape: [symbol("T"), 4], type: "f32" });
  const layers = windows.map((window, i) =>
    context.attend(i, x, x, x, { heads: 1, keyValueHeads: 1, headSize: 4, scale: 1, causal: true, window }),
  );
  return layers.map((y) => sourceName(y.inputs.at(-1)!));
}

describe("page tables", () => {
  it("are the layers' own where they see at most half of a sequence", () => {
    expect(tablesOf([undefined, 8, 8, 32, undefined], 64)).toEqual([
      "pageTable",
      "pageTable.8",
      "pageTable.8",
      "pageTable.32",
      "pageTable",
    ]);
    expect(tablesOf([undefined, 8, 32], 63)).toEqual(["pageTable", "pageTable.8", "pageTable"]);
    expect(tablesOf([8, 8], 15)).toEqual(["pageTable", "pageTable"]);
    expect(tablesOf([8, 8], 16)).toEqual(["pageTable.8", "pageTable.8"]);
  });
  it("say their window", () => {
    expect(["pageTable", "pageTable.512", "pageTabl.3"].map(windowOf)).toEqual([undefined, 512, undefined]);
  });
  it("are one input for all layers that share them", () => {
    const b = createBuilder();
    const context = cachedContext(b, 64);
    const x = b.input("x", { shape: [symbol("T"), 4], type: "f32" });
    const options = { heads: 1, keyValueHeads: 1, headSize: 4, scale: 1, causal: true, window: 8 };
    const y = context.attend(1, context.attend(0, x, x, x, options), x, x, options);
    expect(inOrder([y]).filter((value) => value.op === "input" && sourceName(value) === "pageTable.8")).toHaveLength(1);
  });
});
