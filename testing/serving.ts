/** A real server on a free port with a real, tiny model, for tests of HTTP. */
import { fileURLToPath } from "node:url";
import type { RunningServer } from "../src/server/serve.ts";
import { serve } from "../src/server/serve.ts";
import type { ServeOptions } from "../src/server/settings.ts";
import type { LoadOptions } from "../src/load.ts";
import { load } from "../src/load.ts";
import type { FrugalModel } from "../src/serving/model.ts";

export const stories: string = fileURLToPath(new URL("../models/stories/stories.gguf", import.meta.url));

export interface ServedModel extends AsyncDisposable {
  readonly model: FrugalModel;
  readonly server: RunningServer;
  readonly url: string;
  /** POST of JSON; a string goes as it is. */
  post(path: string, body: unknown, init?: RequestInit): Promise<Response>;
}

/** POST of JSON to a server; a string goes as it is. */
export function postTo(url: string): (path: string, body: unknown, init?: RequestInit) => Promise<Response> {
  return (path, body, init = {}) =>
    fetch(url + path, {
      method: "POST",
      body: typeof body === "string" ? body : JSON.stringify(body),
      ...init,
      headers: { "content-type": "application/json", ...init.headers },
    });
}

export async function serveStories(options: ServeOptions = {}, loading: LoadOptions = {}): Promise<ServedModel> {
  const model = await load(stories, { threads: 1, context: 512, ...loading });
  const server = await serve(model, { port: 0, log: "silent", servedName: "stories", ...options });
  return {
    model,
    server,
    url: server.url,
    post: postTo(server.url),
    async [Symbol.asyncDispose]() {
      await server.close({ grace: 0 });
      await model.dispose();
    },
  };
}

/** The data of a stream's events, as they were sent; "[DONE]" is the last. */
export async function eventsOf(response: Response): Promise<string[]> {
  const text = await response.text();
  return text
    .split("\n\n")
    .filter((event) => event.startsWith("data: "))
    .map((event) => event.slice("data: ".length));
}
