/** The body of a request as JSON, bounded before it is read and before it is parsed, and checked against a schema. */
import type { IncomingMessage } from "node:http";
import type { z } from "zod";
import { HttpError } from "./errors.ts";
import { ClientGone, type RequestScope } from "./request-scope.ts";
import type { BodyShape } from "./schema.ts";

/** Deeper JSON is refused: nothing in the API nests so far, and what walks over it later recurses. */
const deepest = 100;

/** The body, parsed and checked. @throws HttpError 400, 413, 415. */
export async function readJson<T>(scope: RequestScope, shape: BodyShape<T>, bodyLimit: number): Promise<T> {
  const { incoming } = scope;
  const type = incoming.headers["content-type"] ?? "";
  if (!/^application\/(?:[\w.-]+\+)?json\s*(?:;\s*charset="?utf-8"?\s*)?$/i.test(type))
    throw new HttpError(
      415,
      `body: the content type is ${type === "" ? "missing" : JSON.stringify(type.slice(0, 100))}; send application/json in UTF-8`,
    );
  if (incoming.headers["content-encoding"] !== undefined && incoming.headers["content-encoding"] !== "identity")
    throw new HttpError(415, "body: is compressed; send it as it is");
  return check(shape, parse(await readBody(incoming, bodyLimit)));
}

async function readBody(incoming: IncomingMessage, limit: number): Promise<Buffer> {
  const tooLarge = (): HttpError =>
    new HttpError(413, `body: is larger than ${limit} bytes; send less`, { code: "body_too_large", headers: { connection: "close" } });
  if (Number(incoming.headers["content-length"] ?? 0) > limit) throw tooLarge();
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    incoming.on("data", (chunk: Buffer) => {
      length += chunk.length;
      if (length <= limit) return void chunks.push(chunk);
      chunks.length = 0;
      reject(tooLarge());
    });
    incoming.on("end", () => resolve(Buffer.concat(chunks)));
    incoming.on("error", reject);
    incoming.on("close", () => reject(new ClientGone("the client left before the request was complete")));
  });
}

function parse(body: Buffer): unknown {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch {
    throw new HttpError(400, "body: is not UTF-8 text; encode it as UTF-8", { code: "invalid_json" });
  }
  checkDepth(text);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new HttpError(400, `body: is not JSON: ${(error as Error).message.slice(0, 200)}; correct it`, { code: "invalid_json" });
  }
}

/** One pass over the text, without recursion. */
function checkDepth(text: string): void {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x22) {
      for (i++; i < text.length && text.charCodeAt(i) !== 0x22; i++) if (text.charCodeAt(i) === 0x5c) i++;
    } else if (code === 0x7b || code === 0x5b) {
      if (++depth > deepest) throw new HttpError(400, `body: nests deeper than ${deepest} levels; flatten it`, { code: "invalid_json" });
    } else if (code === 0x7d || code === 0x5d) depth--;
  }
}

function check<T>({ schema, refused }: BodyShape<T>, value: unknown): T {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new HttpError(400, "body: is no JSON object; send one", { code: "invalid_json" });
  const fields = value as Record<string, unknown>;
  for (const key of Object.keys(fields)) {
    if (!Object.hasOwn(refused, key)) continue;
    if (fields[key] !== null)
      throw new HttpError(400, `${key}: is not supported; ${refused[key]}`, { code: "unsupported_parameter", param: key });
    delete fields[key];
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  // A name that was mistyped is why another is missing.
  const issue = innermost(result.error.issues.find(({ code }) => code === "unrecognized_keys") ?? result.error.issues[0]!);
  const keys = issue.code === "unrecognized_keys" ? issue.keys.slice(0, 1) : [];
  const param = [...issue.path, ...keys].map(String).join(".");
  throw new HttpError(400, `${issue.path.length > 0 ? issue.path.map(String).join(".") : "body"}: ${issue.message}`.slice(0, 1000), {
    code: issue.code === "unrecognized_keys" ? "unknown_parameter" : "invalid_value",
    ...(param === "" ? {} : { param: param.slice(0, 200) }),
  });
}

/** Of a union or a key, what is wrong inside: of the alternatives, the one that came furthest. */
function innermost(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  const inner =
    issue.code === "invalid_key"
      ? issue.issues[0]
      : issue.code === "invalid_union"
        ? issue.errors.flat().toSorted((a, b) => b.path.length - a.path.length)[0]
        : undefined;
  return inner === undefined ? issue : innermost({ ...inner, path: [...issue.path, ...inner.path] });
}
