/** The engine's place: a dedicated worker, where files are written in place. */
import { operations } from "./store-operations.ts";

const { run } = operations();
addEventListener("message", ({ data }: MessageEvent<{ id: number; name: string; args: readonly unknown[] }>) => {
  void run(data.name, data.args).then((answer) => postMessage({ id: data.id, answer }));
});
