/** POST /v1/embeddings: vectors of texts or of token ids, each of length 1. */
import { Hono } from "hono";
import { z } from "zod";
import type { Tokenizer } from "../../text/tokenizer.ts";
import { checkCharacters, mostCharacters } from "../check-length.ts";
import type { ServerContext, ServerEnv } from "../context.ts";
import { HttpError } from "../errors.ts";
import { findEncoder, type Target } from "../find-model.ts";
import { readJson } from "../read-json.ts";
import { type BodyShape, flag, type Maybe, record, text, whole } from "../schema.ts";

export interface EmbeddingsRequest {
  readonly model?: Maybe<string>;
  readonly input: string | readonly string[] | readonly number[] | readonly (readonly number[])[];
  readonly encoding_format?: Maybe<"float" | "base64">;
  readonly dimensions?: Maybe<number>;
  readonly truncate?: Maybe<boolean>;
  readonly user?: Maybe<string>;
}

const ids = z
  .array(
    z
      .int()
      .min(0)
      .max(2 ** 31 - 1),
  )
  .min(1)
  .max(100_000);

export const embeddingsRequest: BodyShape<EmbeddingsRequest> = {
  schema: record<EmbeddingsRequest>({
    model: text,
    input: z.union([z.string().min(1), z.array(z.string().min(1)).min(1).max(2048), ids, z.array(ids).min(1).max(2048)]),
    encoding_format: z.enum(["float", "base64"]).nullish(),
    dimensions: whole(1, 2 ** 20),
    truncate: flag,
    user: text,
  }),
  refused: { truncate_prompt_tokens: "take truncate: true to cut texts at the model's context" },
};

/** Texts computed between two looks at whether the client is still there. */
const atOnce = 64;

export function embeddings(context: ServerContext): Hono<ServerEnv> {
  return new Hono<ServerEnv>().post("/v1/embeddings", async (c) => {
    const { signal } = c.get("scope");
    const request = await readJson(c.get("scope"), embeddingsRequest, context.settings.bodyLimit);
    const target = findEncoder(context, request.model);
    const inputs = inputsOf(request.input);
    const tokenizer = await target.model.tokenizer();
    const data: object[] = [];
    let tokens = 0;
    for (let first = 0; first < inputs.length; first += atOnce) {
      const encoded = await Promise.all(
        inputs.slice(first, first + atOnce).map((input) => idsOf(target, tokenizer, input, request.truncate === true)),
      );
      const vectors = await target.model.embed(encoded, { normalize: true, truncate: request.truncate === true, signal });
      vectors.forEach((vector, i) => {
        tokens += Math.min(encoded[i]!.length, target.model.contextLength);
        data.push({
          object: "embedding",
          index: first + i,
          embedding: written(shorten(vector, request.dimensions), request.encoding_format),
        });
      });
    }
    return c.json({ object: "list", data, model: target.name, usage: { prompt_tokens: tokens, total_tokens: tokens } });
  });
}

type Input = string | readonly number[];

function inputsOf(input: EmbeddingsRequest["input"]): readonly Input[] {
  if (typeof input === "string") return [input];
  return typeof input[0] === "number" ? [input as readonly number[]] : (input as readonly Input[]);
}

async function idsOf({ model }: Target, tokenizer: Tokenizer, input: Input, truncate: boolean): Promise<Int32Array | readonly number[]> {
  if (typeof input !== "string") return input;
  if (!truncate) await checkCharacters(model, input);
  return tokenizer.encode(truncate ? input.slice(0, await mostCharacters(model)) : input);
}

/** The first numbers of a vector, at length 1 again, as models trained for shorter ones mean it. */
function shorten(vector: Float32Array, dimensions: Maybe<number>): Float32Array {
  if (dimensions === null || dimensions === undefined || dimensions === vector.length) return vector;
  if (dimensions > vector.length)
    throw new HttpError(400, `dimensions: is ${dimensions}, but the model's vectors have ${vector.length}; ask for no more`, {
      param: "dimensions",
    });
  const cut = vector.slice(0, dimensions);
  const length = Math.hypot(...cut);
  return length > 0 ? cut.map((x) => x / length) : cut;
}

function written(vector: Float32Array, format: EmbeddingsRequest["encoding_format"]): string | number[] {
  // Little-endian 32-bit floats, as the clients read them.
  if (format === "base64") return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString("base64");
  return [...vector];
}
