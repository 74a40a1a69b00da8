import { expect, test } from "vitest";
import { normalNumbers, uniformNumbers } from "./initial-numbers.ts";

const mean = (numbers: Float32Array): number => numbers.reduce((sum, n) => sum + n, 0) / numbers.length;
const deviation = (numbers: Float32Array): number =>
  Math.sqrt(numbers.reduce((sum, n) => sum + n * n, 0) / numbers.length - mean(numbers) ** 2);

test("uniform numbers fill the range", () => {
  const numbers = uniformNumbers(1, "a", 20_001, 0.5);
  expect(Math.max(...numbers)).toBeLessThanOrEqual(0.5);
  expect(Math.max(...numbers)).toBeGreaterThan(0.499);
  expect(Math.min(...numbers)).toBeLessThan(-0.499);
  expect(Math.abs(mean(numbers))).toBeLessThan(0.01);
  expect(deviation(numbers)).toBeCloseTo(0.5 / Math.sqrt(3), 2);
});

test("normal numbers have mean 0 and the deviation asked for", () => {
  const numbers = normalNumbers(1, "a", 20_001, 0.02);
  expect(Math.abs(mean(numbers))).toBeLessThan(0.001);
  expect(deviation(numbers)).toBeCloseTo(0.02, 3);
  expect(numbers.filter((n) => Math.abs(n) > 0.04).length / numbers.length).toBeCloseTo(0.0455, 2);
});

test.each([uniformNumbers, normalNumbers])("%o depends on seed and name, not on how many are asked for", (numbers) => {
  const some = numbers(7, "layers.0.x", 9, 1);
  expect(numbers(7, "layers.0.x", 5, 1)).toEqual(some.slice(0, 5));
  expect(numbers(8, "layers.0.x", 9, 1)).not.toEqual(some);
  expect(numbers(7 + 2 ** 32, "layers.0.x", 9, 1)).not.toEqual(some);
  expect(numbers(7, "layers.1.x", 9, 1)).not.toEqual(some);
});
