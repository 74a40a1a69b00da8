/** Every way to send less than the gradients, once, by the name that the command line gives it. */
import { FrugalError, nearest } from "../../tensor/error.ts";
import type { GradientCompression } from "../../training/parallel/compression.ts";
import { eightBit } from "./eight-bit.ts";
import { powerSgd } from "./power-sgd.ts";
import { topK } from "./top-k.ts";

const gradientCompressions: Readonly<Record<string, (options: object) => GradientCompression>> = {
  "top-k": topK,
  "power-sgd": powerSgd,
  "eight-bit": eightBit,
};

/** Throws FRUGAL_BAD_ARGUMENT for a name or options that it does not have. */
export function gradientCompression(name: string, options: object = {}): GradientCompression {
  const make = Object.hasOwn(gradientCompressions, name) ? gradientCompressions[name] : undefined;
  if (make !== undefined) return make(options);
  const names = Object.keys(gradientCompressions);
  const near = nearest(name, names);
  throw new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `gradient compression: there is no ${JSON.stringify(name)}; ${near === undefined ? `there are ${names.join(", ")}` : `did you mean ${near}?`}`,
    { name },
  );
}
