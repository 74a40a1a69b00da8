/** Help texts, from what commands say about themselves. */
import { type Command, commonOptions, model, type OptionSpec } from "./command.ts";

const optionLabel = ({ name, value }: OptionSpec): string => `--${name}${value === undefined ? "" : ` ${value.label}`}`;

function table(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join("\n");
}

export function commandHelp(command: Command): string {
  const usage = command.arguments.map(({ label, optional, many }) => {
    const text = many === true ? `${label}...` : label;
    return optional === true ? `[${text}]` : text;
  });
  const parts = [
    `frugal ${[command.name, ...usage].join(" ")} [options]`,
    command.summary,
    table(command.arguments.map(({ label, help }) => [label, help])),
    `Options:\n${table([...command.options, ...commonOptions].map((option) => [optionLabel(option), option.help]))}`,
    ...(command.notes === undefined ? [] : [command.notes.join("\n")]),
  ];
  return `${parts.join("\n\n")}\n`;
}

export function generalHelp(commands: readonly (readonly [name: string, summary: string])[]): string {
  return [
    "frugal COMMAND [arguments] [options]",
    "Runs language models on the machine you have.",
    table(commands),
    `frugal COMMAND --help tells more. MODEL is ${model.help}.`,
    "Exit code: 0 done, 1 failed, 2 wrong usage.\n",
  ].join("\n\n");
}
