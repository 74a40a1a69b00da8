/** A response as a stream: the sequence of events that OpenAI documents, each with its number. */
import type { GenerationResult } from "../../serving/generation.ts";
import { holdCalls } from "../../text/hold-calls.ts";
import { failureOf } from "../errors.ts";
import type { EventStream } from "../event-stream.ts";
import type { OutputItem } from "./items.ts";
import { type Response, outputOf, type PartLogprob } from "./output.ts";
import { endedResponse, type ResponseRecord } from "./record.ts";

/** Sends the events of a response until it has ended, and resolves to it. */
export async function streamResponse(events: EventStream, started: Response): Promise<ResponseRecord> {
  let number = 0;
  const send = (type: string, fields: object): void => events.send(JSON.stringify({ type, sequence_number: number++, ...fields }), type);
  const { begun } = started;
  const message = startMessage(send, started.messageId);
  const hold = holdCalls(started.calls);
  let isFirst = true;
  try {
    for await (const part of started.generation) {
      if (isFirst) {
        send("response.created", { response: begun });
        send("response.in_progress", { response: begun });
      }
      isFirst = false;
      message.say(hold.push(part.text), started.logprobOf(part));
      while (events.isBehind()) await events.ready();
    }
    const result: GenerationResult = await started.generation;
    const output = outputOf(started, result, hold.isHolding());
    for (const [index, item] of output.entries())
      if (item.type === "message") message.end(item);
      else sendCall(send, item, index);
    const response = endedResponse(begun, output, result);
    send(`response.${response.status}`, { response });
    return response;
  } catch (error) {
    if (!events.begun && isFirst) throw error;
    const { message: text, code } = failureOf(error).body.error;
    send("response.failed", { response: { ...begun, status: "failed", error: { code: code ?? "server_error", message: text } } });
    throw error;
  }
}

type Send = (type: string, fields: object) => void;

/** The message item: announced before its first text, or at its end. */
function startMessage(send: Send, id: string): { say(text: string, logprobs: readonly PartLogprob[]): void; end(item: OutputItem): void } {
  const place = { item_id: id, output_index: 0, content_index: 0 };
  let isOpen = false;
  let waiting: PartLogprob[] = [];
  let sent = "";
  const open = (): void => {
    if (isOpen) return;
    isOpen = true;
    send("response.output_item.added", {
      output_index: 0,
      item: { id, type: "message", role: "assistant", status: "in_progress", content: [] },
    });
    send("response.content_part.added", { ...place, part: { type: "output_text", text: "", annotations: [], logprobs: [] } });
  };
  const say = (text: string, logprobs: readonly PartLogprob[]): void => {
    waiting.push(...logprobs);
    if (text === "") return;
    open();
    sent += text;
    send("response.output_text.delta", { ...place, delta: text, logprobs: waiting });
    waiting = [];
  };
  return {
    say,
    end(item) {
      if (item.type !== "message") return;
      const part = item.content[0]!;
      open();
      // What was held as a call and is none.
      say(part.text.slice(sent.length), []);
      send("response.output_text.done", { ...place, text: part.text, logprobs: part.logprobs });
      send("response.content_part.done", { ...place, part });
      send("response.output_item.done", { output_index: 0, item });
    },
  };
}

function sendCall(send: Send, item: OutputItem & { type: "function_call" }, index: number): void {
  const place = { item_id: item.id, output_index: index };
  send("response.output_item.added", { output_index: index, item: { ...item, status: "in_progress", arguments: "" } });
  send("response.function_call_arguments.delta", { ...place, delta: item.arguments });
  send("response.function_call_arguments.done", { ...place, name: item.name, arguments: item.arguments });
  send("response.output_item.done", { output_index: index, item });
}
