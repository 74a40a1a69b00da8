/** What every op must say about itself. One op is one file; `ops/index.ts` lists them. */
import type { Dims } from "../graph/dim.ts";
import type { AttributeRule } from "../graph/rule.ts";
import type { Attributes, ElementType, Value } from "../graph/value.ts";
import { FrugalError } from "../tensor/error.ts";
import type { Shape } from "../tensor/shape.ts";
import type { CacheState, CacheUse } from "./cache.ts";
import type * as ops from "./index.ts";

/** A dense tensor of the reference: F64 where gradients are checked, I32 for ids. */
export interface Tensor {
  readonly shape: Shape;
  readonly data: Float32Array | Float64Array | Int32Array;
}

/** How many inputs an op takes; "many" for a list. */
export type Arity = 1 | 2 | 3 | 4 | 5 | 6 | 7 | "many";

/** A tuple with one entry for each input. */
export type Each<A extends Arity, T> = A extends "many" ? readonly T[] : Tuple<A, T>;
type Tuple<N, T, Found extends readonly T[] = readonly []> = Found["length"] extends N ? Found : Tuple<N, T, readonly [...Found, T]>;

export interface Cost {
  readonly flops: number;
  readonly bytesMoved: number;
}

export interface Op<A extends Arity, Attrs extends object> {
  readonly name: string;
  readonly arity: A;
  /** What each attribute may be; anything else is an error. */
  readonly attributes: { readonly [Name in keyof Attrs]-?: AttributeRule };
  /** The result's shape; throws ShapeError where the inputs don't fit. */
  shape(inputs: Each<A, Dims>, attributes: Attrs): Dims;
  /** Element type of each input, where not all are "f32". */
  readonly inputTypes?: readonly ElementType[];
  /** Element type of the result, where not "f32". */
  readonly type?: ElementType;
  /** Only moves numbers: takes any element type, the same for all inputs, and its result has it too. */
  readonly anyType?: true;
  /** The result holds the numbers of the first input as they are: both may be one buffer. */
  readonly sharesInput?: true;
  /** Its gradient keeps its inputs anyway, and computing it again from them costs less than keeping the result too. */
  readonly cheapAgain?: true;
  /**
   * Gradients of the inputs, built as graph values (undefined for an input that has none, such as ids);
   * "none" for a step function; "decomposition" to differentiate what `decompose` builds;
   * "unsupported" where there is one but nobody wrote it: differentiating is an error then.
   */
  readonly gradient: "none" | "unsupported" | "decomposition" | ((g: Gradient<A, Attrs>) => Each<A, Value | undefined>);
  /** A fused op also says what it is made of. The oracle runs it, and tests compare kernels with it. */
  readonly decompose?: (d: Decomposition<A, Attrs>) => Value;
  /** Inputs that, where they are weights, have a part for each slot along their first dimension, written while the model is loaded. */
  readonly slotInputs?: readonly number[];
  /** What the op keeps between runs, for each sequence. */
  readonly keeps?: (inputs: Each<A, Dims>, attributes: Attrs) => CacheUse;
  /** Of one run: the sizes in `attributes` are numbers. */
  cost(inputs: Each<A, Shape>, attributes: Attrs): Cost;
  /** Fills `output`. Plain and obvious; the sizes in `attributes` are numbers; `cache` only for ops that keep keys and values between runs. */
  reference(inputs: Each<A, Tensor>, output: Tensor, attributes: Attrs, cache?: CacheState): void;
  /** Inputs that the conformance suite runs on every backend, and differentiates. */
  readonly samples: readonly Sample<A, Attrs>[];
}

export interface Sample<A extends Arity, Attrs> {
  readonly shapes: Each<A, Shape>;
  readonly attributes: Attrs;
  /** What the numbers of each input are like, where not "normal". */
  readonly domains?: readonly Domain[];
}

/** normal: about unit scale, both signs; positive: 0.5 to 2; below: ids in 0..n-1; exactly: these numbers. */
export type Domain = "normal" | "positive" | { readonly below: number } | { readonly exactly: readonly number[] };

export interface Gradient<A extends Arity, Attrs> {
  readonly b: Builder;
  readonly x: Each<A, Value>;
  readonly y: Value;
  readonly dy: Value;
  readonly attributes: Attrs;
}

export interface Decomposition<A extends Arity, Attrs> {
  readonly b: Builder;
  readonly x: Each<A, Value>;
  readonly attributes: Attrs;
}

type AttributeArgument<Attrs> = keyof Attrs extends never ? [] : {} extends Attrs ? [attributes?: Attrs] : [attributes: Attrs];

type Call<O> =
  O extends Op<infer A, infer Attrs>
    ? A extends "many"
      ? (inputs: readonly Value[], attributes: Attrs) => Value
      : (...args: [...Each<A, Value>, ...AttributeArgument<Attrs>]) => Value
    : never;

/** What a graph hangs on. Asking twice for the same input or weight gives the same value. */
export interface Sources {
  /** Filled in at each run. */
  input(name: string, of: { readonly shape: Dims; readonly type: ElementType }): Value;
  /** Filled in when the model is loaded; f32 to the graph, however it is stored. */
  weight(name: string, shape: Shape): Value;
  /** Numbers known now; their element type is that of the array. */
  constant(data: Float32Array | Int32Array, shape: Shape): Value;
}

/** One function for each op: `b.mul(x, y)`, `b.softmax(x, { axis })`, `b.concat([x, y], { axis })`; and the sources. */
export type Builder = { readonly [Name in keyof typeof ops]: Call<(typeof ops)[Name]> } & Sources;

/** An op whose types are forgotten, as the shared code that walks graphs sees it. */
export type AnyOp = Op<Arity, Attributes>;

export class ShapeError extends FrugalError {
  constructor(message: string) {
    super("FRUGAL_SHAPE", message);
  }
}
