/** What a row of training data may be, by the fields it has. */
import { nearest } from "../../tensor/error.ts";
import type { ChatMessage } from "../../text/chat-template.ts";
import type { JsonLine } from "./jsonl.ts";

/** A text, or a conversation that the model's template renders. */
export type Said = string | readonly ChatMessage[];

export type Row =
  | { readonly kind: "messages"; readonly messages: readonly ChatMessage[]; readonly chat: ChatFields }
  | { readonly kind: "completion"; readonly prompt: string; readonly completion: string }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "ids"; readonly ids: readonly number[] }
  | { readonly kind: "preference"; readonly prompt: Said; readonly chosen: Said; readonly rejected: Said; readonly chat: ChatFields };

export type RowKind = Row["kind"];

/** What a template is given beside the messages. */
export interface ChatFields {
  readonly tools?: readonly unknown[];
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** Fields that make a row what it is; all of them must be there, and none of another kind. */
const kinds: Readonly<Record<RowKind, readonly string[]>> = {
  messages: ["messages"],
  completion: ["prompt", "completion"],
  text: ["text"],
  ids: ["ids"],
  preference: ["prompt", "chosen", "rejected"],
};
/** Fields of conversations, as other programs name them too. */
const chatFields = ["tools", "chat_template_kwargs"];
const usesChat: ReadonlySet<RowKind> = new Set(["messages", "preference"]);
const fields = new Set([...Object.values(kinds).flat(), ...chatFields]);

const shown = (kind: RowKind): string => `{${kinds[kind].map((field) => JSON.stringify(field)).join(", ")}}`;

/** Fields that say nothing about training are left aside; `onIgnored` hears their names. Throws what `line.wrong` makes. */
export function readRow(line: JsonLine, wanted: readonly RowKind[], onIgnored: (field: string) => void): Row {
  const kind = kindOf(line, wanted);
  for (const field of Object.keys(line.value)) {
    if (kinds[kind].includes(field) || (usesChat.has(kind) && chatFields.includes(field))) continue;
    if (fields.has(field))
      throw line.wrong(`the field ${JSON.stringify(field)} does not belong to a row of ${shown(kind)}; leave it out`, field);
    onIgnored(field);
  }
  switch (kind) {
    case "messages":
      return { kind, messages: messagesIn(line, "messages"), chat: chatOf(line) };
    case "completion":
      return { kind, prompt: textIn(line, "prompt", true), completion: textIn(line, "completion") };
    case "text":
      return { kind, text: textIn(line, "text") };
    case "ids":
      return { kind, ids: idsIn(line) };
    case "preference": {
      const [prompt, chosen, rejected] = [saidIn(line, "prompt"), saidIn(line, "chosen"), saidIn(line, "rejected")];
      for (const [field, said] of Object.entries({ chosen, rejected }))
        if (typeof said !== typeof prompt)
          throw line.wrong(`${JSON.stringify(field)} must be what "prompt" is: texts, or lists of messages`, field);
      return { kind, prompt, chosen, rejected, chat: chatOf(line) };
    }
  }
}

function kindOf(line: JsonLine, wanted: readonly RowKind[]): RowKind {
  const names = Object.keys(line.value);
  const has = (kind: RowKind): boolean => kinds[kind].every((field) => names.includes(field));
  const found = wanted.filter(has);
  if (found.length === 1) return found[0]!;
  if (found.length > 1)
    throw line.wrong(`the row is ${found.map(shown).join(" and ")} at once; leave out what it should not be`, kinds[found[1]!][0]);
  const rows = `a row is ${wanted.map(shown).join(", ")}`;
  const other = (Object.keys(kinds) as RowKind[]).find(has);
  if (other !== undefined) throw line.wrong(`the row is ${shown(other)}, which is of no use here: ${rows}`, kinds[other][0]);
  for (const name of names) {
    const near = fields.has(name) ? undefined : nearest(name, fields);
    if (near !== undefined) throw line.wrong(`the field ${JSON.stringify(name)} is not known; did you mean ${JSON.stringify(near)}?`, name);
  }
  const missing = wanted.find((kind) => kinds[kind].some((field) => names.includes(field)));
  const lacks = missing === undefined ? undefined : kinds[missing].find((field) => !names.includes(field));
  throw line.wrong(
    lacks === undefined ? `nothing to learn from is here; ${rows}` : `the field ${JSON.stringify(lacks)} is missing; ${rows}`,
  );
}

function textIn(line: JsonLine, field: string, mayBeEmpty = false): string {
  const text = line.value[field];
  if (typeof text !== "string") throw line.wrong(`${JSON.stringify(field)} must be a text, it is ${named(text)}`, field);
  if (text === "" && !mayBeEmpty) throw line.wrong(`${JSON.stringify(field)} is empty`, field);
  return text;
}

function idsIn(line: JsonLine): readonly number[] {
  const ids = line.value["ids"];
  if (!Array.isArray(ids)) throw line.wrong(`"ids" must be a list of token ids, it is ${named(ids)}`, "ids");
  const wrong = ids.findIndex((id) => !Number.isInteger(id) || id < 0);
  if (wrong >= 0) throw line.wrong(`"ids" holds ${named(ids[wrong])} at index ${wrong}; ids are whole numbers from 0 on`, "ids");
  return ids as number[];
}

function messagesIn(line: JsonLine, field: string): readonly ChatMessage[] {
  const messages = line.value[field];
  if (!Array.isArray(messages)) throw line.wrong(`${JSON.stringify(field)} must be a list of messages, it is ${named(messages)}`, field);
  if (messages.length === 0) throw line.wrong(`${JSON.stringify(field)} is empty`, field);
  const wrong = messages.findIndex(
    (each) => typeof each !== "object" || each === null || Array.isArray(each) || typeof each.role !== "string",
  );
  if (wrong >= 0)
    throw line.wrong(`message ${wrong} of ${JSON.stringify(field)} must be an object with a role, it is ${named(messages[wrong])}`, field);
  return messages as ChatMessage[];
}

const saidIn = (line: JsonLine, field: string): Said =>
  typeof line.value[field] === "string" ? textIn(line, field, field === "prompt") : messagesIn(line, field);

function chatOf(line: JsonLine): ChatFields {
  const { tools, chat_template_kwargs: variables } = line.value;
  if (tools !== undefined && tools !== null && !Array.isArray(tools))
    throw line.wrong(`"tools" must be a list, it is ${named(tools)}`, "tools");
  if (variables !== undefined && variables !== null && (typeof variables !== "object" || Array.isArray(variables)))
    throw line.wrong(`"chat_template_kwargs" must be an object, it is ${named(variables)}`, "chat_template_kwargs");
  return {
    ...(Array.isArray(tools) ? { tools } : {}),
    ...(typeof variables === "object" && variables !== null ? { variables: variables as Readonly<Record<string, unknown>> } : {}),
  };
}

function named(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "an object";
  return String(JSON.stringify(value)).slice(0, 40);
}
