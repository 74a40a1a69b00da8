import { expect, test } from "vitest";
import { runChild } from "./child.ts";

const { signal } = new AbortController();
const node = (script: string, options: Partial<Parameters<typeof runChild>[2]> = {}): ReturnType<typeof runChild> =>
  runChild(process.execPath, ["-e", script], { signal, ...options });

test("gives what a program printed and how long it took", async () => {
  const { stdout, stderr, seconds, peakBytes } = await node('console.log("out"); console.error("err"); setTimeout(() => {}, 200)');
  expect([stdout, stderr, peakBytes]).toEqual(["out\n", "err\n", undefined]);
  expect(seconds).toBeGreaterThan(0.2);
});

test.skipIf(process.platform !== "linux").each([
  ["with GNU time where it is", {}],
  ["without it", { timeTool: "/no/such/tool" }],
])("gives the most memory it had, %s", async (_how, options) => {
  const small = await node("setTimeout(() => {}, 50)", { measuresMemory: true, ...options });
  const large = await node("Buffer.alloc(100e6, 1); setTimeout(() => {}, 50)", { measuresMemory: true, ...options });
  expect(large.peakBytes! - small.peakBytes!).toBeGreaterThan(90e6);
  expect(large.peakBytes! - small.peakBytes!).toBeLessThan(130e6);
});

test("a failure says what the program said last", async () => {
  await expect(node('console.error("first\\nthe reason"); process.exit(3)')).rejects.toThrow(/ended with 3: the reason$/);
  await expect(node("process.exit(4)")).rejects.toThrow(/ended with 4: it said nothing$/);
  await expect(runChild("no-such-program-here", [], { signal })).rejects.toThrow("ENOENT");
});

test("an abort ends it", async () => {
  const controller = new AbortController();
  const running = node("setTimeout(() => {}, 60_000)", { signal: controller.signal });
  setTimeout(() => controller.abort(), 100);
  await expect(running).rejects.toThrow("abort");
});
