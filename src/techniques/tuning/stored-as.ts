/** Weights of a model in another storage format, kept in memory: what stands below LoRA in QLoRA and LoftQ. */
import type { Weight } from "../../backends/backend.ts";
import { FrugalError } from "../../tensor/error.ts";
import type { StorageFormat } from "../../tensor/format.ts";
import { formatByName } from "../../tensor/formats/index.ts";
import { doublyQuantised } from "../../tensor/formats/nf4-double.ts";
import { size } from "../../tensor/shape.ts";
import { bytesSource } from "../../tensor/source.ts";
import { allRows } from "../../models/weights-finder.ts";

export interface StorageOptions {
  /** As GGUF names it, or "NF4", which is taken where absent. */
  readonly format?: string | undefined;
  /** NF4's scales as 8-bit codes: 4.13 bits a number in place of 4.5; false where absent. */
  readonly doubleQuantisation?: boolean | undefined;
}

export const storageKeys: readonly string[] = ["format", "doubleQuantisation"];

/** The format that the options ask for. Throws FRUGAL_BAD_ARGUMENT or FRUGAL_UNSUPPORTED. */
export function storageFormat(technique: string, { format = "NF4", doubleQuantisation = false }: StorageOptions): StorageFormat {
  const found = formatByName(format);
  if (found.encode === undefined)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${technique}: format ${format} can be read but not written; take NF4 or Q4_K`, {
      format,
    });
  if (typeof doubleQuantisation !== "boolean")
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${technique}: doubleQuantisation is ${String(doubleQuantisation)}; give true or false`);
  if (doubleQuantisation && found.name !== "NF4")
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `${technique}: only NF4 is quantised doubly, not ${format}; leave doubleQuantisation away`,
      {
        format,
      },
    );
  return found;
}

/** The numbers [outputs, inputs] in the format. Throws FRUGAL_BAD_ARGUMENT where a row is no whole blocks. */
export function storedAs(name: string, weight: Weight, numbers: Float32Array, format: StorageFormat, isDouble: boolean): Weight {
  const width = weight.shape.at(-1)!;
  if (width % format.blockSize !== 0)
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `tuning: ${format.name} stores ${format.blockSize} numbers together, but weight "${name}" has rows of ${width}; take another format or targets`,
      { weight: name, blockSize: format.blockSize },
    );
  const bytes = new Uint8Array((size(weight.shape) / format.blockSize) * format.blockBytes);
  format.encode!(numbers, bytes);
  const source = isDouble ? doublyQuantised(name, bytes) : bytesSource(name, bytes);
  const tensor = { name, shape: weight.shape, format, source, offset: 0, byteLength: bytes.length };
  return { shape: weight.shape, content: { rows: [allRows(tensor)] } };
}

/** Bits that a number of the weight takes where it is stored; undefined where it is made when the model is loaded. */
export function bitsOf({ content }: Weight): number | undefined {
  if (!("rows" in content)) return undefined;
  return Math.max(...content.rows.map(({ tensor: { format } }) => bitsOfFormat(format)));
}

export const bitsOfFormat = ({ blockBytes, blockSize }: StorageFormat): number => (8 * blockBytes) / blockSize;
