/** The command line: finds the command, reads its arguments, runs it, and turns what went wrong into an exit code. */
import { FrugalError, nearest } from "../tensor/error.ts";
import { UsageError } from "./command.ts";
import { commands } from "./commands.ts";
import { commandHelp, generalHelp } from "./help.ts";
import { print } from "./output.ts";
import { parse } from "./parse.ts";

const names = Object.keys(commands);

async function run(args: readonly string[]): Promise<void> {
  // A command of two words goes before the one of its first word.
  const words = Object.hasOwn(commands, args.slice(0, 2).join(" ")) ? 2 : 1;
  const [name, rest] = [args.length === 0 ? undefined : args.slice(0, words).join(" "), args.slice(words)];
  if (name === undefined || name === "help" || name === "--help" || name === "-h") {
    if (rest[0] !== undefined && Object.hasOwn(commands, rest[0])) return run([...rest, "--help"]);
    return print(generalHelp(names.map((known) => [known, commands[known]!.summary])));
  }
  if (name === "--version" || name === "version") return print(`${(await import("./commands/version.ts")).version()}\n`);
  const entry = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (entry === undefined) {
    const near = nearest(name, names);
    throw new UsageError(
      `unknown command ${JSON.stringify(name)}${near === undefined ? "; see frugal --help" : `. Did you mean ${near}?`}`,
    );
  }
  const command = await entry.load();
  const given = parse(command, rest);
  return given.flag("help") ? print(commandHelp(command)) : command.run(given);
}

/** Whoever reads our output may leave early, as `head` does: there is nothing left to do then. */
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  process.stderr.write(`frugal: stdout: cannot write it (${error.code ?? error.message}); free disk space or write elsewhere\n`);
  process.exit(1);
});
process.stderr.on("error", () => undefined);

run(process.argv.slice(2)).catch((error: unknown) => {
  process.exitCode = error instanceof UsageError ? 2 : 1;
  process.stderr.write(`frugal: ${messageOf(error)}\n`);
});

function messageOf(error: unknown): string {
  if (error instanceof UsageError || error instanceof FrugalError) return error.message;
  if (error instanceof Error && error.name === "AbortError") return "stopped";
  return `a fault of ours: ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}; please report it`;
}
