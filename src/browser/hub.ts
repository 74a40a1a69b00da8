/**
 * The switchboard between tabs, which a SharedWorker runs: it elects a tab of each group as the host of the group's engine, and gives every tab a
 * port to it. Nothing else passes through here. Workers of a SharedWorker would be the plainer way; Chromium has none.
 */
import { FrugalError } from "../tensor/error.ts";
import type { Port } from "./caller.ts";
import { type ErrorRecord, protocolVersion, toErrorRecord } from "./protocol.ts";

/** From a tab. */
export type TabMessage =
  | { readonly type: "join"; readonly version: number; readonly group: string; readonly tab: string }
  /** The host has started the engine; what is posted to the port arrives there. */
  | { readonly type: "serving"; readonly port: MessagePort }
  | { readonly type: "crashed"; readonly error: ErrorRecord }
  | { readonly type: "leave" };

/** To a tab. */
export type HubMessage =
  | { readonly type: "hello" }
  | { readonly type: "host" }
  | { readonly type: "engine"; readonly port: MessagePort }
  /** The engine is gone. */
  | { readonly type: "ended"; readonly error: ErrorRecord }
  /** To the host: nobody needs the engine any more. */
  | { readonly type: "stop" }
  /** After leave: what is to be done about it is done. */
  | { readonly type: "left" };

/** To the engine's worker, from a tab or from here. */
export type WorkerMessage =
  | { readonly type: "serve"; readonly tab: string; readonly port: MessagePort }
  | { readonly type: "gone"; readonly tab: string }
  /** From its own page: nobody needs the engine any more. It answers when its threads have ended. */
  | { readonly type: "stop" };

interface Group {
  readonly name: string;
  /** Tabs that hold the model. */
  readonly members: Map<string, Port>;
  host: { readonly tab: string; readonly port: Port };
  engine: Port | undefined;
}

/** `whenGone` resolves when a tab is closed. */
export function createHub(whenGone: (tab: string) => Promise<void>): { connect(port: Port): void } {
  const groups = new Map<string, Group>();
  const post = (port: Port, message: HubMessage, transfer: Transferable[] = []): void => port.postMessage(message, transfer);

  function join(name: string, tab: string, port: Port): Group {
    let group = groups.get(name);
    if (group === undefined) {
      group = { name, members: new Map(), host: { tab, port }, engine: undefined };
      groups.set(name, group);
      post(port, { type: "host" });
    }
    group.members.set(tab, port);
    if (group.engine !== undefined) link(group.engine, tab, port);
    return group;
  }

  function link(engine: Port, tab: string, port: Port): void {
    const { port1, port2 } = new MessageChannel();
    engine.postMessage({ type: "serve", tab, port: port1 } satisfies WorkerMessage, [port1]);
    post(port, { type: "engine", port: port2 }, [port2]);
  }

  function leave(group: Group, tab: string): void {
    if (!group.members.delete(tab)) return;
    group.engine?.postMessage({ type: "gone", tab } satisfies WorkerMessage, []);
    if (group.members.size > 0) return;
    groups.delete(group.name);
    post(group.host.port, { type: "stop" });
  }

  function end(group: Group, error: ErrorRecord): void {
    if (groups.get(group.name) === group) groups.delete(group.name);
    for (const port of group.members.values()) post(port, { type: "ended", error });
    group.members.clear();
  }

  return {
    connect(port) {
      let joined: { readonly group: Group; readonly tab: string } | undefined;
      const isHost = (): boolean => joined !== undefined && joined.group.host.tab === joined.tab;
      port.onmessage = ({ data }: MessageEvent) => {
        const message = data as TabMessage;
        if (message.type === "join" && joined === undefined) {
          const { version, tab, group } = message;
          // Pages of other versions know this worker by another name; this is for a file that was replaced under its name.
          if (version !== protocolVersion) return post(port, { type: "ended", error: toErrorRecord(otherVersion(version)) });
          joined = { tab, group: join(group, tab, port) };
          void whenGone(tab).then(() => {
            const { group: own } = joined!;
            leave(own, tab);
            if (isHost()) end(own, toErrorRecord(hostClosed()));
          });
        } else if (joined === undefined) return;
        else if (message.type === "leave") {
          leave(joined.group, joined.tab);
          post(port, { type: "left" });
        } else if (message.type === "serving" && isHost()) {
          joined.group.engine = message.port;
          for (const [tab, member] of joined.group.members) link(message.port, tab, member);
        } else if (message.type === "crashed" && isHost()) end(joined.group, message.error);
      };
      post(port, { type: "hello" });
    },
  };
}

const hostClosed = (): FrugalError =>
  new FrugalError(
    "FRUGAL_ENDED",
    "engine: the tab that ran it was closed, and what it was doing for this one with it; ask again, another tab takes over",
    {
      retry: true,
    },
  );

const otherVersion = (version: unknown): FrugalError =>
  new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `browser: a tab of version ${String(version)} meets one of version ${protocolVersion}; load all tabs again`,
  );
