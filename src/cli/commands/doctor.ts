/** frugal doctor: which backend runs, why, and what would make it faster. */
import { printBytes } from "../../tensor/byte-size.ts";
import type { Command } from "../command.ts";
import { diagnose } from "../doctor/advice.ts";
import { examineBackends } from "../doctor/backends.ts";
import { examineMachine } from "../doctor/machine.ts";
import type { BackendReport, DoctorReport } from "../doctor/report.ts";
import { interruptible } from "../open-model.ts";
import { print, printJson } from "../output.ts";
import { version } from "./version.ts";

const measuredMilliseconds = 500;

export const doctor: Command = {
  name: "doctor",
  summary: "Says which backend runs here, why, what else was tried, and what would make it faster.",
  arguments: [],
  options: [{ name: "quick", help: "do not measure the backends' speed, which takes half a second each" }],
  notes: [
    "Backends are listed best first; the first that runs is taken where --backend names none. --json is described in docs/installs.md.",
  ],
  run: (given) =>
    interruptible(async (signal) => {
      const machine = await examineMachine();
      const backends = await examineBackends(given.number("threads"), given.flag("quick") ? 0 : measuredMilliseconds, signal);
      const wanted = given.text("backend");
      const shown = wanted === undefined ? backends : backends.filter(({ name }) => name === wanted);
      const report = diagnose({ version: version(), ...machine, backends });
      await (given.flag("json") ? printJson({ ...report, backends: shown }) : print(describe({ ...report, backends: shown })));
    }),
};

function describe(report: DoctorReport): string {
  const { runtime, processor, memory, cache } = report;
  const rows = [
    ["frugal", report.version],
    ["runtime", `${runtime.name} ${runtime.version}${runtime.name === "node" ? "" : ` (as Node ${runtime.node})`}, ${report.platform}`],
    ["processor", `${processor.model}, ${processor.threads} of ${processor.cores} cores`],
    ["", processor.features.join(" ")],
    ["memory", `${printBytes(memory.free_bytes)} free of ${printBytes(memory.limit_bytes ?? memory.total_bytes)}`],
    ["downloads", `${cache.path}${cache.free_bytes === null ? "" : `, ${printBytes(cache.free_bytes)} free`}`],
    ["backend", `${report.backend}: ${report.why}`],
  ];
  const lines = rows.filter(([, text]) => text !== "").map(([name, text]) => `${name!.padEnd(10)} ${text}`);
  const advice =
    report.advice.length === 0 ? ["Nothing would make it faster."] : ["To make it faster:", ...report.advice.map((line) => `  - ${line}`)];
  return `${[...lines, "", ...report.backends.flatMap(describeBackend), "", ...advice].join("\n")}\n`;
}

function describeBackend(backend: BackendReport): string[] {
  const { name, variant, runs, description, reason, fault, tokens_per_second: speed, sets, tried } = backend;
  const measured = speed === undefined ? "" : `, ${speed} tokens/s`;
  const state = runs ? `${description}${measured}` : `no: ${reason ?? fault}`;
  return [
    `${runs ? "+" : "-"} ${[name, variant].filter(Boolean).join(" ")}: ${state}`,
    ...(sets === undefined ? [] : [`    instruction sets: ${sets.join(", ")}`]),
    ...(tried ?? []).map(({ kind, file, reason: fault }) => `    ${kind}: ${file} ${fault ?? "runs"}`),
  ];
}
