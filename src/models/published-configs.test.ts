/** The configurations that published checkpoints carry are understood to the last key: what is then missing is their tensors. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { formatByName } from "../tensor/formats/index.ts";
import { bytesSource } from "../tensor/source.ts";
import type { StoredTensor } from "../tensor/stored.ts";
import { openModel } from "./index.ts";

const file = new URL("../../testing/fixtures/published-configs.json", import.meta.url);
const published = JSON.parse(readFileSync(file, "utf8")) as Readonly<Record<string, Readonly<Record<string, unknown>>>>;

const format = formatByName("F32");
const source = bytesSource("x", new Uint8Array(4));
const foreign = (name: string): StoredTensor => ({ name, shape: [1], format, source, offset: 0, byteLength: 4 });
const tensors = new Map(Array.from({ length: 64 }, (_, i): [string, StoredTensor] => [`other.${i}`, foreign(`other.${i}`)]));

test.each(Object.keys(published))("%s", (name) => {
  expect(() => openModel({ kind: "huggingface", name, config: published[name]!, tensors })).toThrow(/has no tensor/);
});
