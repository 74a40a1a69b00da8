/** The dedicated worker that holds the whole engine: gives every port it is sent to the engine, and ends what tabs that are gone have begun. */
import { chooseBackend } from "../backends/choose.ts";
import { createWasmBackend } from "../backends/wasm/backend.ts";
import type { Answerer } from "./answerer.ts";
import { createPageEngine } from "./engine.ts";
import type { WorkerMessage } from "./hub.ts";
import { openSource } from "./open-source.ts";

/** The first message of the page that started the worker. */
export interface WorkerSettings {
  readonly type: "settings";
  /** Where WebAssembly and its threads lie, if not beside this file. */
  readonly files: Readonly<Partial<Record<"thread" | "relaxed" | "simd", string>>>;
  /** Further tabs come through here. */
  readonly hub?: MessagePort;
}

let files: WorkerSettings["files"] = {};
const engine = createPageEngine({
  open: openSource,
  async backend(threads) {
    const options = threads === undefined ? {} : { threads };
    if (Object.keys(files).length === 0) return chooseBackend(options);
    // A page that says where they are wants to know if they are not.
    const made = await createWasmBackend({ ...options, files });
    return "backend" in made ? made.backend : chooseBackend({ ...options, backend: "reference" });
  },
});
const tabs = new Map<string, Answerer>();

function onMessage({ data }: MessageEvent): void {
  const message = data as WorkerMessage | WorkerSettings;
  if (message.type === "settings") {
    ({ files } = message);
    if (message.hub !== undefined) message.hub.onmessage = onMessage;
  } else if (message.type === "serve") {
    tabs.set(
      message.tab,
      engine.serve(message.port, () => tabs.delete(message.tab)),
    );
  } else if (message.type === "gone") void tabs.get(message.tab)?.end();
  else void engine.dispose().finally(() => postMessage("stopped"));
}

globalThis.onmessage = onMessage;
