import { expect, test } from "vitest";
import { describeMachine, parseProcessorTime } from "./machine.ts";

test("busy time counts what others took, not what was idle or waited", () => {
  expect(parseProcessorTime("cpu  100 10 20 5000 600 3 4 13 0 0\ncpu0 1 2 3\n")).toEqual({ busy: 150, stolen: 13 });
  expect(parseProcessorTime("cpu  100 10 20 5000\n")).toBeUndefined();
  expect(parseProcessorTime("something else\n")).toBeUndefined();
});

test("the machine has a name and cores", () => {
  const { processor, cores, node } = describeMachine();
  expect(processor).not.toBe("");
  expect(cores).toBeGreaterThan(0);
  expect(node).toBe(process.versions.node);
});
