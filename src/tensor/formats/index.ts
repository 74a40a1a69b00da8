/** The storage formats by the names and numbers that files give them. */
import { FrugalError, nearest } from "../error.ts";
import type { StorageFormat } from "../format.ts";
import { BF16, F16, F32, F64 } from "./floats.ts";
import { BOOL, I16, I32, I64, I8, U16, U32, U64, U8 } from "./integers.ts";
import { IQ4_NL, IQ4_XS } from "./iq4.ts";
import { MXFP4 } from "./mxfp4.ts";
import { NF4 } from "./nf4.ts";
import { Q2_K } from "./q2_k.ts";
import { Q3_K } from "./q3_k.ts";
import { Q4_0, Q4_1, Q5_0, Q5_1 } from "./q4_q5.ts";
import { Q4_K, Q5_K } from "./q4_k_q5_k.ts";
import { Q6_K } from "./q6_k.ts";
import { Q8_0 } from "./q8_0.ts";
import { TQ1_0, TQ2_0 } from "./ternary.ts";

export const formats: readonly StorageFormat[] = [
  F32,
  F16,
  BF16,
  F64,
  Q8_0,
  Q5_0,
  Q5_1,
  Q4_0,
  Q4_1,
  Q6_K,
  Q5_K,
  Q4_K,
  Q3_K,
  Q2_K,
  IQ4_NL,
  IQ4_XS,
  MXFP4,
  NF4,
  TQ1_0,
  TQ2_0,
  I8,
  I16,
  I32,
  I64,
  U8,
  U16,
  U32,
  U64,
  BOOL,
];

/** The format of this name ("Q4_K"); throws FRUGAL_UNSUPPORTED where there is none. */
export function formatByName(name: string): StorageFormat {
  const names = formats.map((format) => format.name);
  return formats.find((format) => format.name === name) ?? unknown("format", name, names, nearest(name, names));
}

/** The format of a GGUF tensor type's number; throws FRUGAL_UNSUPPORTED where there is none. */
export function formatByGgufType(type: number): StorageFormat {
  const known = formats.flatMap((format) => (format.ggufType === undefined ? [] : [`${format.ggufType} ${format.name}`]));
  return formats.find((format) => format.ggufType === type) ?? unknown("GGUF tensor type", type, known);
}

/** The format of a safetensors dtype ("BF16"); throws FRUGAL_UNSUPPORTED where there is none. */
export function formatBySafetensorsType(type: string): StorageFormat {
  const known = formats.flatMap((format) => format.safetensorsType ?? []);
  return formats.find((format) => format.safetensorsType === type) ?? unknown("safetensors dtype", type, known, nearest(type, known));
}

function unknown(what: string, value: string | number, known: readonly string[], near?: string): never {
  const hint = near === undefined ? "" : `, did you mean ${near}?`;
  throw new FrugalError("FRUGAL_UNSUPPORTED", `storage formats: ${what} ${value} is not known${hint}; known are ${known.join(", ")}`, {
    value,
  });
}
