/** Server-sent events as servers of language models send them: the data of each, with the time at which it came. */
import { FrugalError } from "../../tensor/error.ts";

/** No sound event is longer; a server that never ends a line must not fill the memory. */
const longestEvent = 1 << 24;

export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<{ readonly data: string; readonly time: number }> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let pending = "";
  let data: string[] = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      const time = performance.now();
      const added = done ? `${decoder.decode()}\n\n` : decoder.decode(value, { stream: true });
      pending += added;
      // Not split again for each part of a long line.
      const lines = /[\r\n]/.test(added) ? pending.split(/\r\n|\n|\r(?!$)/) : [pending];
      pending = lines.pop()!;
      for (const line of lines) {
        if (line.startsWith("data:")) data.push(line.slice(line.startsWith("data: ") ? 6 : 5));
        else if (line === "" && data.length > 0) {
          yield { data: data.join("\n"), time };
          data = [];
        }
      }
      if (done) return;
      if (pending.length + data.reduce((sum, part) => sum + part.length, 0) > longestEvent)
        throw new FrugalError("FRUGAL_NETWORK", `server: an event has more than ${longestEvent} characters; is this an event stream?`);
    }
  } finally {
    // Whoever stops early wants no more of it; the connection is closed.
    await reader.cancel().catch(() => undefined);
  }
}
