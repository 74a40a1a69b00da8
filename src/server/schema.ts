/** What requests' schemas are built of. A field that is null counts as absent, as OpenAI's clients send it. */
import { z } from "zod";
import { nearest } from "../tensor/error.ts";

/** The fields of a record, each with its schema. */
export type Fields<T> = { readonly [K in keyof T]-?: z.ZodType<T[K]> };

/** The record that may have none but these fields; an unknown one is an error that names the nearest. */
export function record<T>(fields: Fields<T>): z.ZodType<T> {
  const names = Object.keys(fields);
  return z.strictObject(fields as Record<string, z.ZodType>, {
    error: (issue) => {
      if (issue.code !== "unrecognized_keys") return undefined;
      const [key = ""] = (issue as { readonly keys?: readonly string[] }).keys ?? [];
      const near = nearest(key, names);
      return `the field ${JSON.stringify(key.slice(0, 100))} is not known; ${near === undefined ? `there are ${names.join(", ")}` : `did you mean ${near}?`}`;
    },
  }) as unknown as z.ZodType<T>;
}

/** A body as a route reads it. */
export interface BodyShape<T> {
  readonly schema: z.ZodType<T>;
  /** Fields of the API that are not supported, and what to do instead. They pass where they are null. */
  readonly refused: Readonly<Record<string, string>>;
}

/** A field that may be left out. */
export type Maybe<T> = T | null | undefined;

export const number = (low: number, high: number): z.ZodType<Maybe<number>> => z.number().min(low).max(high).nullish();
export const whole = (low: number, high: number): z.ZodType<Maybe<number>> => z.int().min(low).max(high).nullish();
export const flag: z.ZodType<Maybe<boolean>> = z.boolean().nullish();
export const text: z.ZodType<Maybe<string>> = z.string().nullish();

/** A field whose only value that changes nothing is accepted. */
export const only = <T extends string | number | boolean>(value: T | readonly T[], otherwise: string): z.ZodType<Maybe<T>> =>
  z.literal(value as T, { error: otherwise }).nullish() as z.ZodType<Maybe<T>>;
