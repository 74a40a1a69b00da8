// What the LoRA experiment reads and writes; the tunings themselves are its own business.
import { deflateRawSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { sharedData } from "../../testing/shared.ts";
import { unzip } from "./archive.ts";
import { plot, type Row, tables } from "./report.ts";
import { readTasks } from "./tasks.ts";
import type { Tuning } from "./tuning.ts";

/** An archive as simple as they come: checksums are left out. */
function archive(files: readonly (readonly [name: string, content: string, deflated: boolean])[]): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  for (const [name, content, deflated] of files) {
    const bytes = deflated ? deflateRawSync(content) : Buffer.from(content);
    const [local, entry] = [Buffer.alloc(30), Buffer.alloc(46)];
    local.writeUInt16LE(name.length, 26);
    entry.writeUInt32LE(0x02014b50, 0);
    entry.writeUInt16LE(deflated ? 8 : 0, 10);
    entry.writeUInt32LE(bytes.length, 20);
    entry.writeUInt32LE(content.length, 24);
    entry.writeUInt16LE(name.length, 28);
    entry.writeUInt32LE(
      parts.reduce((n, part) => n + part.length, 0),
      42,
    );
    parts.push(local, Buffer.from(name), bytes);
    directory.push(entry, Buffer.from(name));
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(files.length, 10);
  end.writeUInt32LE(
    parts.reduce((n, part) => n + part.length, 0),
    16,
  );
  return Buffer.concat([...parts, ...directory, end]);
}

describe("archives", () => {
  const zip = archive([
    ["a.txt", "plain", false],
    ["b/c.txt", "deflated ".repeat(50), true],
  ]);
  it("give files by name", () => {
    expect(unzip(zip, "a.txt").toString()).toBe("plain");
    expect(unzip(zip, "b/c.txt").toString()).toBe("deflated ".repeat(50));
  });
  it("say what is missing", () => {
    expect(() => unzip(zip, "d.txt")).toThrow("d.txt: is not in the archive");
    expect(() => unzip(Buffer.from("no archive"), "a")).toThrow("a: the archive has no directory");
  });
});

const tasks = sharedData("tasks");
it.skipIf(tasks.skip)("tasks have answers for all examples, and no example in both parts", () => {
  const found = readTasks(tasks.path);
  expect(found.map(({ name, answers, train, test }) => [name, answers.length, train.length, test.length])).toEqual([
    ["polarity", 2, 9596, 400],
    ["intents", 10, 1769, 400],
  ]);
  for (const { answers, train, test } of found) {
    expect(new Set([...train, ...test].map(({ answer }) => answer))).toEqual(new Set(answers));
    expect([...train, ...test].filter(({ prompt }) => /^"[^"]*$|\r|undefined/.test(prompt))).toHaveLength(0);
  }
});

describe("the report", () => {
  const tuning = (accuracy: number): Tuning => ({ trainable: 1234, peakBytes: 90e6, seconds: 4, finalLoss: 0.5, accuracy });
  const rows: Row[] = [
    { method: { name: "LoRA, rank 1", rank: 1, learningRate: 1 }, tunings: [tuning(60), tuning(70), tuning(80)] },
    { method: { name: "full", learningRate: 1 }, tunings: [{ ...tuning(75), trainable: 123400 }] },
  ];
  const results = [{ title: "a task, small", steps: 9, untuned: 50, rows }];

  it("has means and the deviation of the sample", () => {
    expect(tables(results, 123400)).toContain("| LoRA, rank 1 | 1,234 | 1.0 % | 90 MB | 4.0 ± 0.0 s | 0.500 | 70.0 ± 10.0 % |");
    expect(tables(results, 123400)).toContain("| full | 123,400 | 100.0 % | 90 MB | 4.0 ± 0.0 s | 0.500 | 75.0 ± 0.0 % |");
    expect(tables(results, 123400)).toContain("### A task, small (9 steps)");
  });

  it("has a plot with a point a method", () => {
    const svg = plot(results);
    expect(svg.match(/<title>/g)).toHaveLength(2);
    expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  });
});
