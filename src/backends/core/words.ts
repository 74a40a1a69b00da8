/** A native program as words: the numbers that native/runtime/program.h reads. */
import { coefficientOf, type Dim, type Dims, symbolNames } from "../../graph/dim.ts";

/** In the order of native/kernels/kernels.def. */
export const kernels = [
  "quantize",
  "linear",
  "expert_linear",
  "expert_matmul",
  "gemm",
  "gather",
  "cache_write",
  "cache_attend",
  "attention_write",
  "attention",
  "rms_norm",
  "layer_norm",
  "softmax",
  "binary",
  "unary",
  "activation",
  "glu",
  "select",
  "check_finite",
  "rope",
  "slice",
  "concat",
  "transpose",
  "broadcast",
  "copy",
  "scatter_add",
  "sum",
  "peak",
  "argmax",
  "pool",
  "cross_entropy",
  "route_ids",
  "route_weights",
  "combine",
  "map",
  "cross_entropy_errors",
  "linear_cross_entropy",
  "linear_cross_entropy_table",
  "dot_parts",
  "rms_norm_gradient",
  "layer_norm_gradient",
  "attention_gradient",
  "to_float",
  "one_hot",
  "row_sequences",
  "noise",
  "block_quantize",
  "block_dequantize",
  "store_half",
  "load_half",
  "low_rank_down",
  "low_rank_up",
  "write_slot",
  "coarse_linear",
  "picked_linear",
] as const;
export type Kernel = (typeof kernels)[number];

/** Numbers of native/kernels/gate.h. */
export const gates: readonly string[] = ["silu", "gelu", "geluTanh", "relu", "relu2", "quickGelu", "tanh", "sigmoid", "identity"];

/** Where an operand is. `buffer` is one of the plan's, and becomes an offset in the arena. */
export type Place =
  | { readonly space: "nothing" }
  | { readonly space: "arena"; readonly buffer: number }
  | { readonly space: "matrix" | "vector" | "input" | "output"; readonly index: number };

export interface Operand {
  readonly place: Place;
  readonly shape: Dims;
}
export const nothing: Operand = { place: { space: "nothing" }, shape: [] };

export interface Step {
  readonly kernel: Kernel;
  readonly operands: readonly Operand[];
  /** Integers may be sizes that depend on the symbols only where a kernel reads them from an operand instead; here they are numbers. */
  readonly integers?: readonly number[];
  readonly numbers?: readonly number[];
}

const spaces = ["nothing", "arena", "matrix", "vector", "input", "output"] as const;

/** `offsetOf` gives a buffer's offset in 4-byte elements. */
export function encodeProgram(steps: readonly Step[], offsetOf: (buffer: number) => number): Int32Array {
  const words: number[] = [];
  const bits = new Int32Array(1);
  const asFloat = new Float32Array(bits.buffer);
  for (const { kernel, operands, integers = [], numbers = [] } of steps) {
    words.push(kernels.indexOf(kernel), operands.length, integers.length, numbers.length);
    for (const { place, shape } of operands) {
      words.push(
        spaces.indexOf(place.space),
        "index" in place ? place.index : 0,
        "buffer" in place ? offsetOf(place.buffer) : 0,
        shape.length,
      );
      for (const dim of shape) words.push(constantOf(dim), ...symbolNames.map((name) => coefficientOf(dim, name)));
    }
    words.push(...integers);
    for (const number of numbers) {
      asFloat[0] = number;
      words.push(bits[0]!);
    }
  }
  return Int32Array.from(words);
}

const constantOf = (dim: Dim): number => (typeof dim === "number" ? dim : dim.constant);
