/** frugal serve: a model behind HTTP, until a signal ends it. */
import { byteSize } from "../../tensor/byte-size.ts";
import { cacheOption, type Command, contextOption, type Given, model, speculationOptions } from "../command.ts";
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
      help: "texts that may wait; more are refused with 429 (default: any number)",
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
      const parts = await openModelOf(given, signal, {
        memory: memoryLimit(given),
        ...number(given, "sequences", "sequences"),
        ...number(given, "cache-tokens", "cacheTokens"),
        ...number(given, "queue", "queue"),
        ...number(given, "latency-goal", "latencyGoal"),
        ...(given.flag("no-prefix-cache") ? { prefixCache: false } : {}),
        ...(given.flag("spill-directory") ? { spillDirectory: given.text("spill-directory")! } : {}),
        textFor: "serve",
        speculates: true,
      });
      try {
        const { frugalModel } = await import("../../serving/model.ts");
        const { serve: listen } = await import("../../server/serve.ts");
        const loaded = frugalModel(parts);
        const server = await listen(loaded, { ...serverOptions(given), signal });
        process.stderr.write(memoryLines(parts));
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

const number = (given: Given, name: string, option: string): object => (given.flag(name) ? { [option]: given.number(name) } : {});

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
    ...(given.flag("log") ? { log: given.text("log") } : {}),
    ...(limit === undefined ? {} : { bodyLimit: byteSize("body-limit", limit) }),
    ...(cors.length > 0 ? { cors: cors.includes("*") ? "*" : cors } : {}),
    apiKeys: keys,
  };
}
