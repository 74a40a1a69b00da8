// What an installed package must do in every runtime: `program.mjs [BACKEND]` prints one JSON object. It knows the package by its name alone.
import { load } from "frugal";
import { serve } from "frugal/server";

const backend = globalThis.process.argv[2];
const model = await load("stories", { threads: 2, ...(backend ? { backend } : {}) });
const { ids } = await model.generate("Once upon a time", { maxTokens: 24, temperature: 0 });

const controller = new AbortController();
let parts = 0;
let aborted = "";
try {
  for await (const _ of model.generate("Once upon a time", { maxTokens: 200, signal: controller.signal }))
    if (++parts === 5) controller.abort();
} catch (error) {
  aborted = `${error.name} after ${parts}`;
}

// Compiled in a thread.
const schema = { type: "object", properties: { cat: { type: "boolean" } }, required: ["cat"], additionalProperties: false };
const constraint = { kind: "json-schema", schema };
const constrained = JSON.parse((await model.generate("A cat", { maxTokens: 40, temperature: 0, constraint })).text);

const server = await serve(model, { port: 0, log: "silent" });
const answer = await fetch(`${server.url}/v1/completions`, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ model: "default", prompt: "Once upon a time", max_tokens: 8, temperature: 0, stream: true }),
});
const events = (await answer.text()).split("\n").filter((line) => line.startsWith("data: {"));
const served = events.map((line) => JSON.parse(line.slice(6)).choices[0]?.text ?? "").join("");
await server.close();
await model.dispose();
console.log(JSON.stringify({ backend: model.backend, ids, aborted, constrained: typeof constrained.cat, served }));
