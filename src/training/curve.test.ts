import { expect, test } from "vitest";
import { curveSvg } from "./curve.ts";
import type { TrainingProgress } from "./run.ts";

const steps = (losses: readonly number[], evaluations: Readonly<Record<number, number>> = {}): TrainingProgress[] =>
  losses.map((loss, i) => ({
    step: i + 1,
    steps: losses.length,
    loss,
    rate: 1,
    tokens: 1,
    tokensPerSecond: 1,
    secondsLeft: 0,
    ...(evaluations[i + 1] === undefined ? {} : { evaluationLoss: evaluations[i + 1]! }),
  }));
const points = (svg: string, name: string): (readonly [number, number])[] =>
  (new RegExp(`<path class="${name}" fill="none"[^>]* d="M([^"]*)"`).exec(svg)?.[1] ?? "")
    .replace(/h0$/, "")
    .split("L")
    .map((point) => point.split(" ").map(Number) as [number, number]);

test("a lower loss stands lower, a later step further right, and both lines share the axes", () => {
  const svg = curveSvg(steps([4, 2, 1], { 2: 2, 3: 3 }), "a < b");
  const training = points(svg, "training");
  expect(training).toHaveLength(3);
  for (const [i, [x, y]] of training.entries()) if (i > 0) expect([x > training[i - 1]![0], y > training[i - 1]![1]]).toEqual([true, true]);
  const evaluation = points(svg, "evaluation");
  expect(evaluation[0]).toEqual(training[1]);
  expect(svg).toContain("loss (nats a token)");
  expect(svg).toContain(">step</text>");
  expect(svg).toContain("a &lt; b");
  expect(svg).toContain("prefers-color-scheme:dark");
  expect(svg).not.toMatch(/NaN|Infinity|undefined/);
});

test.each([[[]], [[2]], [[2, 2, 2]], [[0, 0]], [[1e-9, 1e9]]])("no numbers break it: %j", (losses) => {
  expect(curveSvg(steps(losses))).not.toMatch(/NaN|Infinity|undefined/);
});

test("a long history stays a small file", () => {
  const svg = curveSvg(steps(Array.from({ length: 100_000 }, (_, i) => 5 / (i + 1))));
  expect(svg.length).toBeLessThan(12_000);
  expect(points(svg, "training").length).toBeLessThanOrEqual(400);
});
