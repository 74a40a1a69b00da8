/** A session's page end: what it holds is in the engine, its ids come back with each text. */
import type { Generation } from "../serving/generation.ts";
import type { Prompt } from "../serving/prompt.ts";
import type { Session } from "../serving/session.ts";
import type { GenerateOptions } from "../serving/writer.ts";
import { FrugalError } from "../tensor/error.ts";

/** What a session's text asks and tells its session. */
export interface SessionEnd {
  /** @throws where the session can write no more. */
  check(): void;
  /** All that the session holds. */
  onIds(ids: readonly number[]): void;
}

export interface PageSessionParts {
  write(prompt: Prompt, options: GenerateOptions, end: SessionEnd): Generation;
  /** Tells the engine, without waiting. */
  call(method: "clearSession" | "disposeSession"): void;
  /** Told when the engine is gone. */
  readonly ended: Set<() => void>;
}

export function createPageSession({ write, call, ended }: PageSessionParts): Session {
  let ids: readonly number[] = [];
  let running = 0;
  let disposed = false;
  let lost = false;
  const onEnded = (): void => {
    lost = ids.length > 0;
  };
  ended.add(onEnded);
  const check = (): void => {
    if (disposed) throw new FrugalError("FRUGAL_DISPOSED", "session: has been disposed; make another");
    // Its tokens are known, but who goes on with half a conversation should do so knowingly.
    if (lost)
      throw new FrugalError("FRUGAL_ENDED", "session: the engine that held it is gone; make another, and give it the conversation again", {
        retry: false,
      });
  };
  const session: Session = {
    generate(prompt, options = {}) {
      const run = write(prompt, options, {
        check,
        onIds(now) {
          ids = now;
        },
      });
      running++;
      const done = (): void => void running--;
      run.then(done, done);
      return run;
    },
    chat: (messages, options) => session.generate(messages, options),
    get ids() {
      return ids;
    },
    clear() {
      check();
      if (running > 0)
        throw new FrugalError("FRUGAL_BAD_ARGUMENT", "session: is still writing; await it, abort it, or use a second session");
      ids = [];
      call("clearSession");
    },
    dispose() {
      if (disposed) return;
      disposed = true;
      ended.delete(onEnded);
      call("disposeSession");
    },
    [Symbol.dispose]: () => session.dispose(),
  };
  return session;
}
