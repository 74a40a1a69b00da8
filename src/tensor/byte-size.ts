/** Sizes as people write them. */
import { FrugalError } from "./error.ts";

const units: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
};

/** Bytes of 536870912, "512MB" (powers of 1000) or "512MiB" (powers of 1024). */
export function byteSize(option: string, value: string | number): number {
  const [, digits, unit] = /^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*$/.exec(String(value)) ?? [];
  const bytes = Number(digits) * (units[unit?.toUpperCase() ?? ""] ?? Number.NaN);
  if (Number.isFinite(bytes) && bytes > 0) return Math.floor(bytes);
  throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${option}: ${JSON.stringify(value)} is not a size; write it like 512MB or 2GiB`, { value });
}

/** "253 MB", "1.2 GB": three digits are enough for people. */
export function printBytes(bytes: number): string {
  const [unit, size] =
    (
      [
        ["GB", 1e9],
        ["MB", 1e6],
        ["kB", 1e3],
      ] as const
    ).find(([, size_]) => bytes >= size_) ?? (["B", 1] as const);
  const value = bytes / size;
  return `${value >= 100 || size === 1 ? Math.round(value) : Number(value.toPrecision(2))} ${unit}`;
}
