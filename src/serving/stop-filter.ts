/** Finds stop strings in text that arrives piece by piece: text before a stop passes, what may yet become one waits, the stop itself never passes. */

export interface StopFilter {
  /** The text that may pass now, and the stop string once it was found; nothing passes after it. */
  push(text: string): { readonly text: string; readonly stop?: string };
  /** What still waited when the text ended. */
  end(): string;
}

export function stopFilter(stops: readonly string[]): StopFilter {
  let waiting = "";
  let stopped = false;
  return {
    push(text) {
      if (stopped) return { text: "" };
      if (stops.length === 0) return { text };
      waiting += text;
      // The earliest stop wins, the longest among those that start together.
      let found: { at: number; stop: string } | undefined;
      for (const stop of stops) {
        const at = waiting.indexOf(stop);
        if (at >= 0 && (found === undefined || at < found.at || (at === found.at && stop.length > found.stop.length))) found = { at, stop };
      }
      if (found !== undefined) {
        const passed = waiting.slice(0, found.at);
        stopped = true;
        waiting = "";
        return { text: passed, stop: found.stop };
      }
      const held = Math.max(...stops.map((stop) => overlap(waiting, stop)));
      const passed = waiting.slice(0, waiting.length - held);
      waiting = waiting.slice(waiting.length - held);
      return { text: passed };
    },
    end() {
      const rest = waiting;
      waiting = "";
      return rest;
    },
  };
}

/** The length of the longest end of `text` that begins `stop`. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--) if (text.endsWith(stop.slice(0, length))) return length;
  return 0;
}
