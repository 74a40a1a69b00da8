/** POST /v1/load_lora_adapter and /v1/unload_lora_adapter, in vLLM's shape: only where the server's options name a directory of adapters. */
import { realpath } from "node:fs/promises";
import { isAbsolute, relative, resolve } from "node:path";
import { Hono } from "hono";
import { z } from "zod";
import type { ServerContext, ServerEnv } from "../context.ts";
import { HttpError } from "../errors.ts";
import { adaptersOf, findModel } from "../find-model.ts";
import { readJson } from "../read-json.ts";
import { type BodyShape, flag, type Maybe, record, text } from "../schema.ts";

export interface AdapterLoadRequest {
  readonly lora_name: string;
  /** Within the server's directory of adapters. */
  readonly lora_path: string;
  readonly load_inplace?: Maybe<boolean>;
  readonly base_model_name?: Maybe<string>;
}

export interface AdapterUnloadRequest {
  readonly lora_name: string;
  readonly base_model_name?: Maybe<string>;
}

const name = z.string().regex(/^[\w.:@/-]{1,128}$/, "give a name of letters, digits and . : @ / _ -");

export const adapterLoadRequest: BodyShape<AdapterLoadRequest> = {
  schema: record<AdapterLoadRequest>({
    lora_name: name,
    lora_path: z.string().min(1).max(1024),
    load_inplace: flag,
    base_model_name: text,
  }),
  refused: {},
};

export const adapterUnloadRequest: BodyShape<AdapterUnloadRequest> = {
  schema: record<AdapterUnloadRequest>({ lora_name: name, base_model_name: text }),
  refused: { lora_int_id: "adapters are known by name here" },
};

export function adapters(context: ServerContext): Hono<ServerEnv> {
  const { adapterDirectory, bodyLimit } = context.settings;
  return new Hono<ServerEnv>()
    .post("/v1/load_lora_adapter", async (c) => {
      const scope = c.get("scope");
      const request = await readJson(scope, adapterLoadRequest, bodyLimit);
      const directory = allowed(adapterDirectory);
      const { model } = findModel(context, request.base_model_name);
      checkName(context, request);
      const path = await within(directory, request.lora_path);
      await model.adapters.load(request.lora_name, path, scope.signal);
      return c.text(`Success: LoRA adapter '${request.lora_name}' added successfully.`);
    })
    .post("/v1/unload_lora_adapter", async (c) => {
      const request = await readJson(c.get("scope"), adapterUnloadRequest, bodyLimit);
      allowed(adapterDirectory);
      const { model } = findModel(context, request.base_model_name);
      if (!adaptersOf(model).some((adapter) => adapter.name === request.lora_name))
        throw new HttpError(404, `lora_name: there is no adapter ${JSON.stringify(request.lora_name)}; /v1/models lists them`, {
          code: "adapter_not_found",
          param: "lora_name",
        });
      await model.adapters.unload(request.lora_name);
      return c.text(`Success: LoRA adapter '${request.lora_name}' removed successfully.`);
    });
}

function allowed(directory: string | undefined): string {
  if (directory !== undefined) return directory;
  throw new HttpError(403, "adapters: this server loads and unloads none while it runs; start it with a directory of adapters", {
    code: "adapters_not_allowed",
  });
}

function checkName({ models }: ServerContext, { lora_name: wanted, load_inplace: replaces }: AdapterLoadRequest): void {
  const refuse = (problem: string): never => {
    throw new HttpError(400, `lora_name: ${JSON.stringify(wanted)} ${problem}`, { code: "invalid_value", param: "lora_name" });
  };
  if (wanted === "default" || models.some((served) => served.name === wanted)) refuse("is a model's own name; take another");
  if (replaces !== true && models.some(({ model }) => adaptersOf(model).some((adapter) => adapter.name === wanted)))
    refuse("is loaded already; set load_inplace to replace it");
}

/** The file that a request names, links followed. What is outside of the directory is answered as what is not there. */
async function within(directory: string, path: string): Promise<string> {
  const missing = new HttpError(
    404,
    `lora_path: there is no ${JSON.stringify(path)} in the server's directory of adapters; name a path within it`,
    {
      code: "adapter_not_found",
      param: "lora_path",
    },
  );
  if (path.includes("\0")) throw missing;
  const root = await realpath(directory);
  const found = await realpath(resolve(root, path)).catch(() => {
    throw missing;
  });
  const inner = relative(root, found);
  if (inner === ".." || inner.startsWith(`..${"/"}`) || inner.startsWith("..\\") || isAbsolute(inner)) throw missing;
  return found;
}
