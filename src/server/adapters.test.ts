/** Adapters loaded and unloaded over HTTP: answers, and the directory that paths may not leave. */
import { cpSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { postTo } from "../../testing/serving.ts";
// The reader of adapters is handed in by the public `load`.
// oxlint-disable-next-line no-restricted-imports
import { load } from "../load.ts";
import type { FrugalModel } from "../serving/model.ts";
import { type RunningServer, serve } from "./serve.ts";

const fixtures = fileURLToPath(new URL("../../testing/fixtures/", import.meta.url));
let folder: string;
let model: FrugalModel;
let server: RunningServer;
let post: ReturnType<typeof postTo>;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "frugal-adapters-"));
  for (const name of ["lora", "dora"]) cpSync(`${fixtures}adapters/${name}`, join(folder, name), { recursive: true });
  symlinkSync(`${fixtures}adapters/lora`, join(folder, "outside"));
  model = await load(`${fixtures}families/llama-3`, { backend: "reference", adapterSlots: { count: 2, rank: 16 } });
  server = await serve(model, { port: 0, log: "silent", servedName: "base", adapterDirectory: folder });
  post = postTo(server.url);
});
afterAll(async () => {
  await server.close({ grace: 0 });
  await model.dispose();
  rmSync(folder, { recursive: true });
});

const loadAdapter = (body: object): Promise<Response> => post("/v1/load_lora_adapter", { lora_name: "polite", lora_path: "lora", ...body });
const unload = (name: string): Promise<Response> => post("/v1/unload_lora_adapter", { lora_name: name });
async function textOf(name: string): Promise<string> {
  const response = await post("/v1/chat/completions", {
    model: name,
    messages: [{ role: "user", content: "the cat" }],
    max_tokens: 8,
    temperature: 0,
  });
  if (response.status !== 200) return String(response.status);
  return ((await response.json()) as { choices: [{ message: { content: string } }] }).choices[0].message.content;
}

test("an adapter answers under its name until it is unloaded", async () => {
  expect(await textOf("polite")).toBe("404");
  const loaded = await loadAdapter({});
  expect([loaded.status, await loaded.text()]).toEqual([200, "Success: LoRA adapter 'polite' added successfully."]);
  const { data } = (await (await fetch(`${server.url}/v1/models`)).json()) as { data: { id: string; parent: string | null }[] };
  expect(data.map(({ id, parent }) => [id, parent])).toEqual([
    ["base", null],
    ["polite", "base"],
  ]);
  const direct = await model.chat([{ role: "user", content: "the cat" }], { maxTokens: 8, adapter: "polite" });
  expect(await textOf("polite")).toBe(direct.text);
  expect((await loadAdapter({})).status).toBe(400);
  expect((await loadAdapter({ load_inplace: true })).status).toBe(200);
  expect((await unload("polite")).status).toBe(200);
  expect(await textOf("polite")).toBe("404");
  expect((await unload("polite")).status).toBe(404);
});

describe("refused:", () => {
  test.each<[string, object, number]>([
    ["a path out of the directory", { lora_path: "../adapters" }, 404],
    ["an absolute one", { lora_path: "/etc" }, 404],
    ["a link that leads out", { lora_path: "outside" }, 404],
    ["nothing there", { lora_path: "nothing" }, 404],
    ["a path with a zero byte", { lora_path: "lora\0" }, 404],
    ["the model's own name", { lora_name: "base" }, 400],
    ["the name of the default", { lora_name: "default" }, 400],
    ["a name with spaces", { lora_name: "a b" }, 400],
    ["an adapter that is no low-rank one", { lora_path: "dora" }, 400],
  ])("%s", async (_, body, status) => {
    expect((await loadAdapter(body)).status).toBe(status);
  });
});

test("a server that was given no directory loads none", async () => {
  await using closed = await serve(model, { port: 0, log: "silent" });
  for (const path of ["/v1/load_lora_adapter", "/v1/unload_lora_adapter"]) {
    const response = await postTo(closed.url)(path, { lora_name: "a", ...(path.includes("un") ? {} : { lora_path: "lora" }) });
    expect([response.status, ((await response.json()) as { error: { code: string } }).error.code]).toEqual([403, "adapters_not_allowed"]);
  }
});
