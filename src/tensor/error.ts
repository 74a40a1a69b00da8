/** The one error type. Messages read `part: what is wrong, with the values; what to do`. */

/** Stable codes that callers may switch on; the message is for people and may change. */
export type ErrorCode =
  | "FRUGAL_BAD_FILE" // a file is truncated, corrupt or hostile
  | "FRUGAL_UNSUPPORTED" // well-formed, but not something Frugal can do
  | "FRUGAL_BAD_CONFIG" // a model's configuration does not add up
  | "FRUGAL_BAD_ARGUMENT" // an option or argument of a call is wrong
  | "FRUGAL_SHAPE" // shapes do not fit together
  | "FRUGAL_NOT_FOUND" // a file, tensor, model or repository is missing
  | "FRUGAL_CONTEXT_FULL" // the prompt or the text so far does not fit the context
  | "FRUGAL_OUT_OF_MEMORY"
  | "FRUGAL_NO_SPACE" // no disk space
  | "FRUGAL_NUMERIC" // NaN or infinity where a number belongs
  | "FRUGAL_NETWORK"
  | "FRUGAL_BUSY" // too many wait already; try again after `fields.retryAfterSeconds`
  | "FRUGAL_RANK_LOST" // one of several that train together ended or did not arrive in time
  | "FRUGAL_DISPOSED" // used after dispose
  | "FRUGAL_ENDED" // what ran it is gone: a worker that failed, a tab that was closed; a further call starts it anew
  | "FRUGAL_INTERNAL"; // a fault of ours

/** Numbers and names that belong to an error, for programs: `{ needed: 12, available: 8 }`. */
export type ErrorFields = Readonly<Record<string, string | number | boolean | undefined>>;

export class FrugalError extends Error {
  override readonly name = "FrugalError";
  readonly code: ErrorCode;
  readonly fields: ErrorFields;

  constructor(code: ErrorCode, message: string, fields: ErrorFields = {}, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.fields = fields;
  }
}

/** The known name nearest to `name` by edit distance, for "did you mean" in messages; undefined where nothing is near. */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  // Nobody mistypes so much text, and the comparison takes as many steps as both lengths multiplied.
  if (name.length > 200) return undefined;
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.ceil(name.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(change, previous[j]! + 1, current[j - 1]! + 1));
    }
    previous = current;
  }
  return previous[b.length]!;
}
