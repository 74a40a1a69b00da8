/** frugal serve: a model behind HTTP, until a signal ends it. */
import type { LoadOptions, StepLimits } from "../../serving/load-parts.ts";
import { byteSize } from "../../tensor/byte-size.ts";
import { cacheOption, type Command, contextOption, type Given, model, speculationOptions, UsageError } from "../command.ts";
import { memoryLines } from "../memory-lines.ts";
import { interruptible, openModelOf } from "../open-model.ts";
import { printJson } from "../output.ts";

const logLevels = ["silent", "error", "warn", "info", "debug"] as const;

export const serve: Command = {
  name: "serve",
  summary: "Serves MODEL over HTTP in the shape of OpenAI's API, until ctrl-C.",
  arguments: [model],
  options: [
    { name: "port", value: { label: "N", kind: "integer", least: 0 }, help: "the port to listen on; 0 takes a free one (default: 8080)" },
    { name: "host", value: { label: "ADDRESS", kind: "text" }, help: "the address to listen on (default: 127.0.0.1, this machine only)" },
    {
      name: "api-key",
      value: { label: "KEY", kind: "text" },
      many: true,
      help: "requests must carry it as Authorization: Bearer KEY; may be given more than once (default: FRUGAL_API_KEY of the environment)",
    },
    { name: "served-name", value: { label: "NAME", kind: "text" }, help: "the model's name in requests (default: its own)" },
    ...speculationOptions,
    contextOption,
    cacheOption,
    {
      name: "sequences",
      value: { label: "N", kind: "integer", least: 1 },
      help: "texts that may be written together; more wait their turn (default: 8)",
    },
    {
      name: "cache-tokens",
      value: { label: "N", kind: "integer", least: 1 },
      help: "tokens that all texts share in the cache of keys and values (default: those of one text of full length)",
    },
    { name: "no-prefix-cache", help: "read every prompt wholly, also where it begins as an earlier one" },
    {
      name: "queue",
      value: { label: "N", kind: "integer", least: 0 },
      help: "texts that may wait; more are refused with 429 (default: 256)",
    },
    {
      name: "latency-goal",
      value: { label: "MS", kind: "number" },
      help: "milliseconds that a token of a text should wait at most for prompts read beside it (default: 50)",
    },
    {
      name: "spill-directory",
      value: { label: "DIR", kind: "text" },
      help: "where texts that make room for others leave keys and values (default: they are computed again)",
    },
    {
      name: "adapter",
      value: { label: "NAME=PATH", kind: "text" },
      many: true,
      help: "a LoRA that requests ask for as model NAME; may be given more than once",
    },
    {
      name: "adapter-slots",
      value: { label: "N", kind: "integer", least: 1 },
      help: "adapters that texts may be written with at once (default: as many as are given, at most 8)",
    },
    { name: "adapter-rank", value: { label: "R", kind: "integer", least: 1 }, help: "the largest rank an adapter may have (default: 16)" },
    {
      name: "adapter-directory",
      value: { label: "DIR", kind: "text" },
      help: "let requests load and unload adapters that lie here (default: they may not)",
    },
    { name: "memory", value: { label: "SIZE", kind: "text" }, help: "the most memory to use, like 2GB (default: what is free)" },
    {
      name: "cors",
      value: { label: "ORIGIN", kind: "text" },
      many: true,
      help: "pages of this origin may ask from a browser; * lets all (default: none)",
    },
    {
      name: "body-limit",
      value: { label: "SIZE", kind: "text" },
      help: "largest body of a request (default: 4MiB)",
    },
    {
      name: "grace",
      value: { label: "SECONDS", kind: "number" },
      help: "seconds that running requests get after ctrl-C; a second ctrl-C ends at once (default: 30)",
    },
    {
      name: "keep-alive",
      value: { label: "SECONDS", kind: "number" },
      help: "seconds between comments on a quiet stream; 0 sends none (default: 15)",
    },
    { name: "log", value: { label: "LEVEL", kind: logLevels }, help: "what to log, as JSON lines on stderr (default: info)" },
  ],
  run: (given) =>
    interruptible(async (signal) => {
      const adapters = given.texts("adapter").map(namedPath);
      const { openModel } = await import("../../models/index.ts");
      const parts = await openModelOf(given, signal, {
        queue: 256,
        ...number(given, "sequences", "sequences"),
        ...number(given, "cache-tokens", "cacheTokens"),
        memory: memoryLimit(given),
        ...number(given, "queue", "queue"),
        ...number(given, "latency-goal", "latencyGoal"),
        ...(given.flag("no-prefix-cache") ? { prefixCache: false } : {}),
        ...(given.flag("spill-directory") ? { spillDirectory: given.text("spill-directory")! } : {}),
        ...(await adapterRoomOf(given, adapters.length)),
        // `--adapter` names adapters beside the model here, not one for it.
        open: async (checkpoint) => openModel(checkpoint),
        textFor: "serve",
        speculates: true,
      });
      try {
        const { frugalModel } = await import("../../serving/model.ts");
        const { serve: listen } = await import("../../server/serve.ts");
        const loaded = frugalModel(parts);
        for (const { name, path } of adapters) await loaded.adapters.load(name, path, signal);
        const server = await listen(loaded, { ...serverOptions(given), signal });
        process.stderr.write(memoryLines(parts, process.availableMemory()));
        if (!isLoopback(given.text("host")) && !given.flag("api-key") && !process.env["FRUGAL_API_KEY"])
          process.stderr.write("anybody who reaches this address may ask; give --api-key to change that\n");
        process.stderr.write(`${loaded.backend.description}\nserving ${given.text("served-name") ?? loaded.name} at ${server.url}\n`);
        if (given.flag("json"))
          await printJson({ url: server.url, port: server.port, model: given.text("served-name") ?? loaded.name, pid: process.pid });
        if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
        await server.close();
      } finally {
        await parts.dispose();
      }
    }),
};

const isLoopback = (host = "127.0.0.1"): boolean => host === "localhost" || host === "::1" || host.startsWith("127.");

const number = (given: Given, name: string, option: string): object => (given.flag(name) ? { [option]: given.number(name) } : {});

/** What `--adapter` gives. */
function namedPath(text: string): { readonly name: string; readonly path: string } {
  const at = text.indexOf("=");
  if (at > 0 && at < text.length - 1) return { name: text.slice(0, at), path: text.slice(at + 1) };
  throw new UsageError(`--adapter is ${JSON.stringify(text)}; give a name and a path: --adapter polite=adapters/polite`);
}

/** Slots where adapters are given or may come. */
async function adapterRoomOf(given: Given, adapters: number): Promise<LoadOptions & StepLimits> {
  const wanted = given.number("adapter-slots");
  if (adapters === 0 && wanted === undefined && !given.flag("adapter-directory")) return {};
  const adapterSlots = { count: wanted ?? Math.min(8, Math.max(1, adapters)), rank: given.number("adapter-rank") ?? 16 };
  const { adapterRoom } = await import("../../techniques/tuning/slot-adapters.ts");
  return { adapterSlots, adapterRoom: (checkpoint, opened) => adapterRoom(checkpoint, opened, adapterSlots) };
}

/** Never more than is there: better not to start than to be killed at work. */
function memoryLimit(given: Given): number {
  const free = process.availableMemory();
  const wanted = given.text("memory");
  return wanted === undefined ? free : Math.min(byteSize("memory", wanted), free);
}

function serverOptions(given: Given): object {
  const keys = given.flag("api-key") ? given.texts("api-key") : [process.env["FRUGAL_API_KEY"] ?? ""].filter((key) => key !== "");
  const cors = given.texts("cors");
  const limit = given.text("body-limit");
  return {
    ...number(given, "port", "port"),
    ...number(given, "grace", "grace"),
    ...number(given, "keep-alive", "keepAlive"),
    ...(given.flag("host") ? { host: given.text("host") } : {}),
    ...(given.flag("served-name") ? { servedName: given.text("served-name") } : {}),
    ...(given.flag("adapter-directory") ? { adapterDirectory: given.text("adapter-directory") } : {}),
    ...(given.flag("log") ? { log: given.text("log") } : {}),
    ...(limit === undefined ? {} : { bodyLimit: byteSize("body-limit", limit) }),
    ...(cors.length > 0 ? { cors: cors.includes("*") ? "*" : cors } : {}),
    apiKeys: keys,
  };
}
