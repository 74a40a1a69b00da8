/** Weights as files store them: every format through every op that reads stored rows, at odd offsets, put together from parts. */
import { describe, expect, it } from "vitest";
import type { Weight } from "../../src/backends/backend.ts";
import { symbol, type Symbols } from "../../src/graph/dim.ts";
import type { Graph } from "../../src/graph/value.ts";
import { createBuilder } from "../../src/ops/builder.ts";
import { type StorageFormat, storedBytes } from "../../src/tensor/format.ts";
import { formats } from "../../src/tensor/formats/index.ts";
import type { FrugalError } from "../../src/tensor/error.ts";
import { type Shape, size } from "../../src/tensor/shape.ts";
import { bytesSource } from "../../src/tensor/source.ts";
import type { StoredTensor } from "../../src/tensor/stored.ts";
import { expectLike, type Implementation } from "./implementation.ts";
import { numbersOf, random } from "./numbers.ts";
import { runPlain } from "./plain.ts";

/** Weights are floating-point numbers of some kind. */
const weightFormats = formats.filter(({ name }) => !/^([IU]\d+|BOOL)$/.test(name));

interface Stored {
  readonly tensor: StoredTensor;
  readonly values: Float32Array;
}

/** A tensor at an odd offset of its source, of numbers that the format can hold. */
function store(format: StorageFormat, shape: Shape, seed: number): Stored {
  const length = size(shape);
  const bytes = new Uint8Array(storedBytes(format, length));
  const values = new Float32Array(length);
  if (format.encode === undefined) fillBlocks(format, bytes, seed);
  else format.encode(numbersOf("normal", length, "f32", seed) as Float32Array, bytes);
  format.decode(bytes, values);
  const offset = 13;
  const whole = new Uint8Array(offset + bytes.length + 3).fill(255);
  whole.set(bytes, offset);
  const name = `${format.name} ${seed}`;
  return { tensor: { name, shape, format, source: bytesSource(name, whole), offset, byteLength: bytes.length }, values };
}

/** Random blocks that hold numbers of reasonable size. */
function fillBlocks(format: StorageFormat, bytes: Uint8Array, seed: number): void {
  const next = random(seed);
  const values = new Float32Array(format.blockSize);
  for (let at = 0; at < bytes.length; at += format.blockBytes) {
    const block = bytes.subarray(at, at + format.blockBytes);
    do {
      for (let i = 0; i < block.length; i++) block[i] = 256 * next();
      format.decode(block, values);
    } while (!values.every((v) => Math.abs(v) < 100));
  }
}

const T = symbol("T");
const caps: Symbols = { T: 37, S: 1, C: 1, R: 1 };

export function weightCases({ create, weightTolerance }: Implementation): void {
  describe("weights in every storage format", () => {
    it.each(weightFormats.map((format) => [format.name, format] as const))("%s", async (_, format) => {
      const width = format.blockSize === 1 ? 37 : 2 * Math.max(format.blockSize, 32);
      const [first, second, cube, vector] = [
        store(format, [11, width], 1),
        store(format, [9, width], 2),
        store(format, [3, 5, width], 3),
        store(format, [width], 4),
      ];
      const parts: Weight["content"] = {
        rows: [
          { tensor: first.tensor, first: 4, count: 7 },
          { tensor: second.tensor, first: 0, count: 9 },
        ],
      };
      const made = numbersOf("normal", 6 * width, "f32", 5) as Float32Array;
      const weights = new Map<string, Weight>([
        ["parts", { shape: [16, width], content: parts }],
        ["table", { shape: [11, width], content: { rows: [{ tensor: first.tensor, first: 0, count: 11 }] } }],
        ["experts", { shape: [3, 5, width], content: { rows: [{ tensor: cube.tensor, first: 0, count: 15 }] } }],
        ["norm", { shape: [width], content: { rows: [{ tensor: vector.tensor, first: 0, count: 1 }] } }],
        ["made", { shape: [6, width], content: { values: async () => made } }],
      ]);
      const b = createBuilder();
      const x = b.input("x", { shape: [T, width], type: "f32" });
      const ids = b.input("ids", { shape: [T], type: "i32" });
      const chosen = b.reshape(b.input("chosen", { shape: [T], type: "i32" }), { shape: [T, 1] });
      const graph: Graph = {
        outputs: new Map([
          ["product", b.matmul(x, b.weight("parts", [16, width]))],
          ["tied", b.matmul(x, b.weight("table", [11, width]))],
          ["made", b.matmul(x, b.weight("made", [6, width]))],
          ["rows", b.gather(b.weight("table", [11, width]), ids)],
          ["experts", b.expertMatmul(x, b.weight("experts", [3, 5, width]), chosen)],
          ["normed", b.rmsNorm(x, b.weight("norm", [width]), { epsilon: 1e-5 })],
        ]),
      };
      const progress: number[] = [];
      const model = await (
        await create()
      ).load({ main: graph }, weights, { caps, onProgress: (done, total) => progress.push(done / total) });
      expect(progress[progress.length - 1]).toBe(1);
      expect(progress).toEqual([...progress].sort((p, q) => p - q));
      expect(model.memory.weights).toBeGreaterThan(0);

      const inParts = Float32Array.of(...first.values.subarray(4 * width), ...second.values);
      const stored = { parts: inParts, table: first.values, experts: cube.values, norm: vector.values, made };
      for (const rows of [1, 8, 37]) {
        const symbols = { ...caps, T: rows };
        const inputs = {
          x: numbersOf("normal", rows * width, "f32", rows) as Float32Array,
          ids: numbersOf({ below: 11 }, rows, "i32", 8) as Int32Array,
          chosen: numbersOf({ below: 3 }, rows, "i32", 9) as Int32Array,
        };
        const wanted = runPlain(graph, { sources: { ...inputs, ...stored }, symbols });
        const found = await model.run({ program: "main", symbols, inputs });
        expectLike({ rows: found["rows"]!, normed: found["normed"]! }, { rows: wanted["rows"]!, normed: wanted["normed"]! }, 1e-5);
        // Sums of many products: compared with the size of what is summed.
        for (const name of ["product", "tied", "made", "experts"]) {
          const data = wanted[name]!.data;
          const scale = Math.sqrt([...data].reduce((sum, v) => sum + v * v, 0) / data.length);
          const tolerance = weightTolerance(name === "made" ? "F32" : format.name) * Math.max(1, scale);
          expectLike({ [name]: found[name]! }, { [name]: wanted[name]! }, tolerance);
        }
      }
      await model.dispose();
    });
  });
  describe("weights that hold NaN or infinity", () => {
    it.each(weightFormats.map((format) => [format.name, format] as const))("%s", async (_, format) => {
      const width = format.blockSize === 1 ? 5 : format.blockSize;
      const backend = await create();
      const b = createBuilder();
      const graph: Graph = {
        outputs: new Map([["y", b.matmul(b.input("x", { shape: [T, width], type: "f32" }), b.weight("w", [3, width]))]]),
      };
      const load = (bytes: Uint8Array): Promise<string> => {
        const tensor: StoredTensor = {
          name: "w.stored",
          shape: [3, width],
          format,
          source: bytesSource("file", bytes),
          offset: 0,
          byteLength: bytes.length,
        };
        const weights = new Map<string, Weight>([["w", { shape: [3, width], content: { rows: [{ tensor, first: 0, count: 3 }] } }]]);
        return backend.load({ main: graph }, weights, { caps }).then(
          (model) => model.dispose().then(() => "loads"),
          (error: FrugalError) => `${error.code} ${error.message}`,
        );
      };
      const rowBytes = storedBytes(format, width);
      let refused = 0;
      // Every place of a block where two bytes could be such a number.
      for (let at = 0; at + 2 <= Math.min(rowBytes, format.blockBytes); at += format.blockBytes === 17 ? 1 : 2) {
        const bytes = new Uint8Array(3 * rowBytes);
        bytes.set([0x80, 0x7f], rowBytes + at); // infinity in BF16 and the upper half of F32, NaN in F16
        const values = new Float32Array(3 * width);
        format.decode(bytes, values);
        const outcome = await load(bytes);
        if (values.every((value) => Number.isFinite(value))) expect(outcome).toBe("loads");
        else expect(outcome).toMatch(/^FRUGAL_NUMERIC file: tensor "w\.stored" holds NaN or infinity in row 1;/);
        refused += outcome === "loads" ? 0 : 1;
      }
      if (format.name !== "MXFP4") expect(refused).toBeGreaterThan(0);
    });
  });
}
