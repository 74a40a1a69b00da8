/**
 * Kinds of GGUF files by the names that llama.cpp's llama-quantize gives them: their number in `general.file_type`, the format of most matrices,
 * and which tensors get another one, as it chooses without an importance matrix. Read from its sources of November 2026; two exceptions of
 * its are not followed, for Falcon and for Llama 2 70B.
 */

/** What a tensor does, where kinds of files treat it by itself. "output" is also a table of embeddings that is the output's too. */
export type TensorPart = "output" | "embedding" | "value" | "key" | "attentionOutput" | "down" | "other";

/** What rules may look at. */
export interface TensorPlace {
  /** Of the part's tensors in the order of layers, this one's number and how many there are. */
  readonly index: number;
  readonly count: number;
  /** Query heads that share a head of keys and values. */
  readonly queriesPerKey: number;
  readonly experts: number;
}

/** The format of a part's tensors, everywhere or where something holds. */
export type FormatRule = readonly [part: TensorPart, format: string, where?: (place: TensorPlace) => boolean];

export interface FileType {
  /** In `general.file_type`. */
  readonly number: number;
  /** Of tensors without a rule. */
  readonly format: string;
  /** The first that applies counts. */
  readonly rules?: readonly FormatRule[];
}

/** The first and the last eighth of the layers, and every third between them. */
const spread = ({ index, count }: TensorPlace): boolean => {
  const eighth = Math.floor(count / 8);
  return index < eighth || index >= Math.floor((7 * count) / 8) || (index - eighth) % 3 === 2;
};
const firstOf =
  (parts: number) =>
  ({ index, count }: TensorPlace): boolean =>
    index < Math.floor(count / parts);
const firstFew =
  (few: number) =>
  ({ index }: TensorPlace): boolean =>
    index < few;
const grouped = ({ queriesPerKey }: TensorPlace): boolean => queriesPerKey >= 4;
const eightExperts = ({ experts }: TensorPlace): boolean => experts === 8;

/** With eight experts, attention is so small a part that it may have more bits. */
const amongExperts: readonly FormatRule[] = [
  ["value", "Q8_0", eightExperts],
  ["key", "Q8_0", eightExperts],
];
const few: readonly FormatRule[] = [...amongExperts, ["attentionOutput", "Q5_K", eightExperts]];
const output: FormatRule = ["output", "Q6_K"];
const iq4: readonly FormatRule[] = [output, ...few, ["value", "Q5_K", grouped], ["down", "Q5_K", firstOf(8)]];
const ternary: readonly FormatRule[] = [output, ...amongExperts, ["embedding", "Q4_K"]];
const plain: readonly FormatRule[] = [output, ...amongExperts];

export const fileTypes: Readonly<Record<string, FileType>> = {
  F32: { number: 0, format: "F32" },
  F16: { number: 1, format: "F16" },
  BF16: { number: 32, format: "BF16" },
  Q8_0: { number: 7, format: "Q8_0", rules: amongExperts },
  Q4_0: { number: 2, format: "Q4_0", rules: plain },
  Q4_1: { number: 3, format: "Q4_1", rules: plain },
  Q5_0: { number: 8, format: "Q5_0", rules: plain },
  Q5_1: { number: 9, format: "Q5_1", rules: plain },
  Q2_K: {
    number: 10,
    format: "Q2_K",
    rules: [output, ...few, ["value", "Q4_K", grouped], ["value", "Q3_K"], ["down", "Q3_K"], ["attentionOutput", "Q3_K"]],
  },
  Q3_K_S: { number: 11, format: "Q3_K", rules: [output, ...few] },
  Q3_K_M: {
    number: 12,
    format: "Q3_K",
    rules: [
      output,
      ...few,
      ["value", "Q5_K", firstFew(2)],
      ["value", "Q4_K"],
      ["down", "Q5_K", firstOf(16)],
      ["down", "Q4_K"],
      ["attentionOutput", "Q4_K"],
    ],
  },
  Q3_K_L: {
    number: 13,
    format: "Q3_K",
    rules: [
      output,
      ...amongExperts,
      ["value", "Q5_K"],
      ["down", "Q5_K"],
      ["attentionOutput", "Q3_K", eightExperts],
      ["attentionOutput", "Q5_K"],
    ],
  },
  Q4_K_S: { number: 14, format: "Q4_K", rules: [output, ...few, ["value", "Q5_K", firstFew(4)], ["down", "Q5_K", firstOf(8)]] },
  Q4_K_M: { number: 15, format: "Q4_K", rules: [output, ...few, ["value", "Q6_K", spread], ["down", "Q6_K", spread]] },
  Q5_K_S: { number: 16, format: "Q5_K", rules: plain },
  Q5_K_M: { number: 17, format: "Q5_K", rules: [output, ...amongExperts, ["value", "Q6_K", spread], ["down", "Q6_K", spread]] },
  Q6_K: { number: 18, format: "Q6_K", rules: plain },
  IQ4_NL: { number: 25, format: "IQ4_NL", rules: iq4 },
  IQ4_XS: { number: 30, format: "IQ4_XS", rules: iq4 },
  TQ1_0: { number: 36, format: "TQ1_0", rules: ternary },
  TQ2_0: { number: 37, format: "TQ2_0", rules: ternary },
};

/** What people call a mixture for short. */
const shortNames: Readonly<Record<string, string>> = { Q3_K: "Q3_K_M", Q4_K: "Q4_K_M", Q5_K: "Q5_K_M" };

export const fileTypeNames: readonly string[] = [...Object.keys(fileTypes), ...Object.keys(shortNames)];

/** The kind of file of this name, in capitals or not; undefined where there is none. */
export function fileTypeOf(name: string): FileType | undefined {
  const upper = name.toUpperCase();
  const full = shortNames[upper] ?? upper;
  return Object.hasOwn(fileTypes, full) ? fileTypes[full] : undefined;
}

/** Where a row is not whole blocks of the first: the next best, whose blocks are of 32. */
export const smallerBlocks: Readonly<Record<string, string>> = {
  Q2_K: "Q4_0",
  Q3_K: "Q4_0",
  Q4_K: "Q5_0",
  Q5_K: "Q5_1",
  Q6_K: "Q8_0",
  IQ4_XS: "IQ4_NL",
  TQ1_0: "Q4_0",
  TQ2_0: "Q4_0",
};
