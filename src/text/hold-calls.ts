/** Text that may be a call of tools is held back while it streams, since calls are sent whole; other text passes at once. */

/** "may": the model chooses; "must": it is nothing but calls. */
export type CallsWanted = "none" | "may" | "must";

export interface CallHold {
  /** What may be sent now. */
  push(text: string): string;
  /** Whether the text so far is held: at the end it is to be read as calls, and to be sent as text where it is none. */
  isHolding(): boolean;
}

/** How calls of tools begin, as models are taught to write them. */
const beginnings: readonly string[] = ["{", "[", "<tool_call>", "<|python_tag|>", "```"];

export function holdCalls(wanted: CallsWanted): CallHold {
  let held = "";
  let isHolding = wanted !== "none";
  return {
    push(text) {
      if (!isHolding) return text;
      held += text;
      const start = held.trimStart();
      if (wanted === "must" || beginnings.some((mark) => start.startsWith(mark) || mark.startsWith(start))) return "";
      isHolding = false;
      return held;
    },
    isHolding: () => isHolding,
  };
}
