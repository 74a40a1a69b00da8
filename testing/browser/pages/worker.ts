/** A worker that asks the engine's sources for something: how near two names are. */
import { nearest } from "../../../src/tensor/error.ts";

addEventListener("message", ({ data }: MessageEvent<string>) => postMessage(`nearest: ${nearest(data, ["abd", "xyz"])}`));
