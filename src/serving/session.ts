/** A conversation or text that keeps its keys and values between calls, so that only what is new is computed. */
import { FrugalError } from "../tensor/error.ts";
import type { Engine } from "./engine.ts";
import { checkTokens } from "./refusals.ts";
import type { Generation } from "./generation.ts";
import type { ChatMessage, Prompt } from "./prompt.ts";
import { createSequence } from "./sequence.ts";
import type { GenerateOptions, Writer } from "./writer.ts";

export interface Session extends Disposable {
  /**
   * Text and ids go on after what the session holds. Messages are the whole conversation: what it has in common with the session's tokens is
   * not computed again. One call at a time; FRUGAL_BAD_ARGUMENT while another runs.
   */
  generate(prompt: Prompt, options?: GenerateOptions): Generation;
  chat(messages: readonly ChatMessage[], options?: GenerateOptions): Generation;
  /** Everything read and written so far. */
  readonly ids: readonly number[];
  /** Forgets all tokens. */
  clear(): void;
  dispose(): void;
}

export function createSession(engine: Engine, write: Writer, onDispose: () => void): Session {
  /** Keys and values of it are in the tree of prefixes, as long as nobody needs the pages more. */
  let sequence = createSequence();
  let busy = false;
  let disposed = false;
  const ending = new AbortController();
  const check = (): void => {
    if (disposed) throw new FrugalError("FRUGAL_DISPOSED", "session: has been disposed; make another");
    if (busy) throw new FrugalError("FRUGAL_BAD_ARGUMENT", "session: is still writing; await it, abort it, or use a second session");
  };
  const session: Session = {
    generate(prompt, options = {}) {
      const isConversation = Array.isArray(prompt) && typeof prompt[0] === "object";
      return write(prompt, options, {
        ending: ending.signal,
        afterOthers: !isConversation && sequence.tokens.length > 0,
        prepare(encoded) {
          check();
          const tokens = isConversation ? encoded.ids : [...sequence.tokens, ...encoded.ids];
          // Refused here, so that a prompt too long leaves the session as it was.
          checkTokens(tokens, engine.limits);
          busy = true;
          sequence = createSequence(tokens);
          return sequence;
        },
        finished: () => {
          busy = false;
        },
      });
    },
    chat: (messages, options) => session.generate(messages, options),
    get ids() {
      return sequence.tokens.slice();
    },
    clear() {
      check();
      sequence = createSequence();
    },
    dispose() {
      if (disposed) return;
      disposed = true;
      ending.abort(new FrugalError("FRUGAL_DISPOSED", "session: has been disposed; make another"));
      onDispose();
    },
    [Symbol.dispose]: () => session.dispose(),
  };
  return session;
}
