import { expect, test } from "vitest";
import { type Claim, type Entrant, type Setting, timesPeer } from "../claim.ts";
import { interleave, labelOf } from "./interleave.ts";

const controller = new AbortController();
const setting: Setting = { model: "m.gguf", threads: 1, signal: controller.signal };

/** Entrants that note their turns and answer with what they are given, in turn. */
function entrants(turns: string[], answers: Readonly<Record<string, readonly (number | Error)[]>>): Entrant[] {
  return Object.entries(answers).map(([variant, values]) => {
    let next = 0;
    return {
      contestant: "frugal",
      variant,
      sample: async () => {
        turns.push(variant);
        const value = values[next++]!;
        if (value instanceof Error) throw value;
        return value;
      },
    };
  });
}
const claim = (more: Partial<Claim> = {}): Claim => ({ name: "c", title: "c", unit: "s", goal: timesPeer(1), entrants: [], ...more });

test("entrants take turns, round after round", async () => {
  const turns: string[] = [];
  const rows = await interleave(claim(), setting, { repeat: 3, entrants: entrants(turns, { a: [1, 2, 3], b: [4, 5, 6] }) });
  expect(turns.join("")).toBe("ababab");
  expect(rows.map(({ samples }) => samples)).toEqual([
    [1, 2, 3],
    [4, 5, 6],
  ]);
});

test("a round that warms up is thrown away", async () => {
  const seen: number[] = [];
  const [row] = await interleave(claim({ warmsUp: true }), setting, {
    repeat: 2,
    entrants: entrants([], { a: [100, 1, 2] }),
    onSample: (_label, round) => seen.push(round),
  });
  expect(row!.samples).toEqual([1, 2]);
  expect(seen).toEqual([-1, 0, 1]);
});

test("what is always the same is measured once", async () => {
  const [row] = await interleave(claim({ isExact: true }), setting, { repeat: 5, entrants: entrants([], { a: [1] }) });
  expect(row!.samples).toEqual([1]);
});

test("who fails is out, and the others go on", async () => {
  const turns: string[] = [];
  const [a, b] = await interleave(claim(), setting, {
    repeat: 3,
    entrants: entrants(turns, { a: [1, new Error("it broke")], b: [4, 5, 6] }),
  });
  expect(a).toMatchObject({ samples: [1], failure: "it broke" });
  expect(b!.samples).toEqual([4, 5, 6]);
  expect(turns.join("")).toBe("ababb");
});

test("an abort ends it", async () => {
  const stopping = new AbortController();
  const stopped: Entrant = {
    contestant: "frugal",
    sample: async () => {
      stopping.abort(new Error("stopped"));
      throw new Error("killed");
    },
  };
  await expect(interleave(claim(), { ...setting, signal: stopping.signal }, { repeat: 3, entrants: [stopped] })).rejects.toThrow("stopped");
});

test("a variant is part of the label", () => {
  const sample = async (): Promise<number> => 1;
  expect(labelOf({ contestant: "llama.cpp", variant: "-fit off", sample })).toBe("llama.cpp -fit off");
  expect(labelOf({ contestant: "llama.cpp", sample })).toBe("llama.cpp");
});
