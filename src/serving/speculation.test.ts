import { describe, expect, test } from "vitest";
import { createSpeculation, type Speculation, type StepOutlook } from "./speculation.ts";
import type { DecodeStrategy, SpeculationMode } from "./strategy.ts";

const flat: StepOutlook = { rows: 1, tokens: 1, stepTime: () => 10 };
const steep: StepOutlook = { rows: 1, tokens: 1, stepTime: (rows) => 10 * rows };

/** Writes `text` one step at a time as the engine does, and counts rows that were verified. */
async function write(
  speculation: Speculation,
  text: readonly number[],
  step: StepOutlook,
  most = 8,
): Promise<{ steps: number; drafts: number }> {
  const tokens = [text[0]!];
  let [steps, drafts] = [0, 0];
  while (tokens.length < text.length) {
    const proposed = await speculation.propose(tokens, most, step);
    let accepted = 0;
    tokens.push(text[tokens.length]!);
    while (accepted < proposed.length && proposed[accepted] === tokens.at(-1) && tokens.length < text.length) {
      accepted++;
      tokens.push(text[tokens.length]!);
    }
    speculation.judged(proposed.length, accepted);
    steps++;
    drafts += proposed.length;
  }
  return { steps, drafts };
}

const text = Array.from({ length: 400 }, (_, i) => (i * 7) % 50);
const right: DecodeStrategy = { propose: (tokens, most) => text.slice(tokens.length, tokens.length + most), judged() {} };
const wrong: DecodeStrategy = {
  propose: (tokens, most) => text.slice(tokens.length, tokens.length + most).map((id) => (id + 1) % 50),
  judged() {},
};
const of = (strategy: DecodeStrategy, mode: SpeculationMode = "auto"): Speculation => createSpeculation(strategy, mode);

describe("auto", () => {
  test("a right strategy is used where rows are cheap", async () => {
    expect((await write(of(right), text, flat)).steps).toBeLessThan(60);
  });
  test("a wrong one is given up after a few steps, but for a probe now and then", async () => {
    const { steps, drafts } = await write(of(wrong), text, flat);
    expect(steps).toBe(399);
    expect(drafts).toBeLessThan(70);
  });
  test("rows that cost as much as a step are never verified, but for a probe", async () => {
    const { steps, drafts } = await write(of(right), text, steep);
    expect(drafts).toBeLessThanOrEqual(4 * 6);
    expect(steps).toBeGreaterThan(370);
  });
  test("what is not verified is compared all the same: a strategy that becomes right is found again", async () => {
    const late: DecodeStrategy = { propose: (tokens, most) => (tokens.length < 200 ? wrong : right).propose(tokens, most), judged() {} };
    const { steps } = await write(of(late), text, flat);
    expect(steps).toBeLessThan(200 + 60);
  });
  test("costly proposals are asked for less often where they are only compared", async () => {
    const count = async (milliseconds: number): Promise<number> => {
      let asked = 0;
      const slow: DecodeStrategy = {
        async propose(tokens, most) {
          asked++;
          await new Promise((resolve) => setTimeout(resolve, milliseconds));
          return wrong.propose(tokens, most);
        },
        judged() {},
      };
      await write(of(slow), text.slice(0, 120), steep);
      return asked;
    };
    expect(await count(4)).toBeLessThan(20);
  });
});

describe("modes", () => {
  test("off asks nothing, always asks for all there may be", async () => {
    const asked: number[] = [];
    const noting: DecodeStrategy = {
      propose(tokens, most) {
        asked.push(most);
        return wrong.propose(tokens, most);
      },
      judged() {},
    };
    expect((await write(of(noting, "off"), text, flat)).drafts).toBe(0);
    expect(asked).toEqual([]);
    await write(of(noting, "always"), text.slice(0, 20), steep, 3);
    expect(asked).toEqual(Array.from({ length: 19 }, () => 3));
  });
});

test("what the strategy throws is thrown", () => {
  const throwing = of(
    {
      propose() {
        throw new Error("draft");
      },
      judged() {},
    },
    "always",
  );
  expect(() => throwing.propose([1], 4, flat)).toThrow("draft");
});

test("the strategy hears what came of its proposals, and is disposed", async () => {
  const heard: unknown[] = [];
  const speculation = of({
    propose: () => [1],
    judged: (...counts) => void heard.push(counts),
    dispose: () => void heard.push("disposed"),
  });
  speculation.judged(3, 2);
  speculation.judged(0, 0);
  await speculation.dispose();
  expect(heard).toEqual([[3, 2], "disposed"]);
});
