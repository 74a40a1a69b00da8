/** The conversation in the terminal: replies appear as they are written, ctrl-C stops a reply, lines that begin with / are commands. */
import { createInterface, type Interface } from "node:readline";
import { writeWhole } from "../formats/files.ts";
import { frugalModel, type FrugalModel } from "../serving/model.ts";
import type { ChatMessage } from "../serving/prompt.ts";
import type { Session } from "../serving/session.ts";
import type { GenerateOptions } from "../serving/writer.ts";
import { FrugalError, nearest } from "../tensor/error.ts";
import { type Given, UsageError } from "./command.ts";
import { openModelOf } from "./open-model.ts";
import { print } from "./output.ts";

interface Conversation {
  readonly model: FrugalModel;
  readonly session: Session;
  readonly messages: ChatMessage[];
  readonly options: GenerateOptions;
  system: string | undefined;
}

interface ChatCommand {
  readonly usage: string;
  readonly help: string;
  /** False ends the conversation. */
  run(conversation: Conversation, rest: string): Promise<boolean>;
}

const usualOptions: GenerateOptions = { temperature: 0.7, topP: 0.95 };

const chatCommands: Readonly<Record<string, ChatCommand>> = {
  help: {
    usage: "/help",
    help: "show this",
    async run({ options }) {
      const rows = Object.values(chatCommands).map(({ usage, help }) => `  ${usage.padEnd(16)} ${help}\n`);
      await print(`${rows.join("")}  ctrl-C           stop the reply; at the prompt, leave\n  sampling: ${JSON.stringify(options)}\n`);
      return true;
    },
  },
  clear: {
    usage: "/clear",
    help: "forget the conversation",
    async run(conversation) {
      conversation.messages.length = 0;
      await conversation.session.clear();
      return true;
    },
  },
  system: {
    usage: "/system TEXT",
    help: "set the system message and begin anew; without TEXT, show it",
    async run(conversation, rest) {
      if (rest === "") await print(`${conversation.system ?? "(none)"}\n`);
      else {
        conversation.system = rest;
        conversation.messages.length = 0;
      }
      return true;
    },
  },
  save: {
    usage: "/save FILE",
    help: "write the conversation as JSON",
    async run({ messages, system }, rest) {
      if (rest === "") await print("name a file: /save FILE\n");
      else {
        const all = [...(system === undefined ? [] : [{ role: "system", content: system }]), ...messages];
        await writeWhole(rest, `${JSON.stringify({ messages: all }, null, 2)}\n`);
        await print(`${messages.length} messages in ${rest}\n`);
      }
      return true;
    },
  },
  undo: {
    usage: "/undo",
    help: "take the last question and its answer back",
    async run({ messages }) {
      const last = messages.findLastIndex(({ role }) => role === "user");
      if (last >= 0) messages.length = last;
      return true;
    },
  },
  quit: { usage: "/quit", help: "leave (also ctrl-D)", run: async () => false },
};

export async function chat(given: Given, asked: GenerateOptions): Promise<void> {
  if (given.flag("json")) throw new UsageError("run: --json needs a PROMPT; a conversation is no JSON object");
  const ended = new AbortController();
  let reply: AbortController | undefined;
  const lines = createInterface({ input: process.stdin, output: process.stdout, prompt: "> ", terminal: process.stdin.isTTY });
  // From now on, so that no line is lost while the model loads.
  const read = lines[Symbol.asyncIterator]();
  const interrupt = (): void => {
    if (reply !== undefined && !reply.signal.aborted) return reply.abort();
    ended.abort();
    lines.close();
  };
  lines.on("SIGINT", interrupt);
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  try {
    const model = frugalModel(await openModelOf(given, ended.signal, { sequences: 1, speculates: true }));
    try {
      const options = { ...usualOptions, ...asked };
      const conversation: Conversation = { model, session: model.session(), messages: [], options, system: given.text("system") };
      await print(`${model.name}, ${model.backend.description}. /help lists the commands.\n`);
      await converse(lines, read, conversation, (started) => (reply = started));
    } finally {
      await model.dispose();
    }
  } finally {
    lines.close();
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
  }
}

async function converse(
  lines: Interface,
  read: AsyncIterator<string>,
  conversation: Conversation,
  onReply: (controller: AbortController | undefined) => void,
): Promise<void> {
  for (;;) {
    lines.prompt();
    const { done, value: line } = await read.next();
    if (done === true) return;
    const text = line.trim();
    if (text.startsWith("/")) {
      if (!(await runChatCommand(conversation, text.slice(1)))) return;
    } else if (text !== "") {
      const controller = new AbortController();
      onReply(controller);
      await answer(conversation, text, controller.signal).finally(() => onReply(undefined));
    }
  }
}

async function runChatCommand(conversation: Conversation, text: string): Promise<boolean> {
  const [, name = "", rest = ""] = /^(\S*)\s*([^]*)$/.exec(text) ?? [];
  const command = Object.hasOwn(chatCommands, name) ? chatCommands[name] : undefined;
  if (command !== undefined)
    return command.run(conversation, rest.trim()).catch(async (error: unknown) => {
      if (!(error instanceof FrugalError)) throw error;
      await print(`${error.message}\n`);
      return true;
    });
  const near = nearest(name, Object.keys(chatCommands));
  await print(`there is no /${name}${near === undefined ? "; see /help" : `; did you mean /${near}?`}\n`);
  return true;
}

/** What was written of a reply before ctrl-C stays in the conversation. */
async function answer({ session, messages, options, system }: Conversation, text: string, signal: AbortSignal): Promise<void> {
  messages.push({ role: "user", content: text });
  const all: ChatMessage[] = [...(system === undefined ? [] : [{ role: "system", content: system }]), ...messages];
  const generation = session.chat(all, { ...options, signal });
  let written = "";
  try {
    for await (const part of generation) {
      written += part.text;
      if (part.text !== "") await print(part.text);
    }
    const { timings, ids, promptIds } = await generation;
    const read = promptIds.length - timings.cachedTokens;
    await print(
      `\n\u001b[2m${read} tokens read at ${timings.prefillTokensPerSecond.toFixed(0)}/s, ${ids.length} written at ${timings.decodeTokensPerSecond.toFixed(1)}/s\u001b[0m\n`,
    );
  } catch (error) {
    if (error instanceof FrugalError) {
      messages.pop();
      return print(`\n${error.message}\n`);
    }
    if (!signal.aborted) throw error;
    await print("\n");
  }
  messages.push({ role: "assistant", content: written });
}
