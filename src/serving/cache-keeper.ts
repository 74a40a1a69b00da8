/**
 * Who has which pages: running texts, the tree of prefixes, and the disk. Under pressure pages come from prefixes that nobody uses; a text
 * that has to make room for others is written to disk where there is a directory for it, and else computed again later.
 */
import type { LoadedModel } from "../backends/backend.ts";
import { pageSize } from "../ops/cache.ts";
import { FrugalError } from "../tensor/error.ts";
import { dropPassed, firstSeen, grow, noPage, type PageTable, releasePages } from "./page-tables.ts";
import { createPrefixTree, type PrefixNode } from "./prefix-tree.ts";
import type { Sequence } from "./sequence.ts";
import type { SpillStore } from "./spill.ts";

/** A text that may hold pages. */
export interface Holder {
  readonly sequence: Sequence;
  readonly namespace: string;
  /** Whether it looks for prefixes and leaves its own. */
  readonly reuses: boolean;
  /** Where it stands in the tree. */
  node?: PrefixNode | undefined;
  /** Its pages are on disk, by table. */
  spilled?: readonly SpilledPages[] | undefined;
}

export interface SpilledPages {
  readonly name: string;
  readonly count: number;
}

export interface CacheKeeper {
  /** Shares the pages of the longest known beginning, of at most `limit` tokens. */
  attach(holder: Holder, limit: number): void;
  /** Copies the rest of that beginning, of a page that others write on, if a page is free. */
  attachRest(holder: Holder): Promise<void>;
  /** Gets pages for tokens up to `end`, those on disk included; false where they run out. */
  reserve(holder: Holder, end: number): Promise<boolean>;
  /** Leaves what was computed to others, and gives back what windows have passed. */
  keep(holder: Holder): void;
  /** Gives everything back. */
  release(holder: Holder): Promise<void>;
  /** Holds its own pages only, no longer the prefix it stands on. */
  leave(holder: Holder): void;
  /** Writes its pages to disk, or gives them up: what was computed is then computed again. */
  spill(holder: Holder): Promise<void>;
  /** Pages of each table that are free or held by nobody but the tree; at least `enough` of each, or exactly. */
  available(holders: Iterable<Holder>, enough: number): number[];
  report(): Readonly<Record<string, PageReport>>;
  /** FRUGAL_INTERNAL where pages are lost or held by nobody, when no text runs. */
  expectIdle(): void;
  readonly counts: { spilledPages: number; readonly evictedPrefixes: number; copiedPages: number };
  clear(): void;
}

export interface PageReport {
  readonly total: number;
  readonly free: number;
  /** Held by the tree of prefixes. */
  readonly cached: number;
}

export function createCacheKeeper(loaded: LoadedModel, tables: readonly PageTable[], store: SpillStore | undefined): CacheKeeper {
  const tree = createPrefixTree(tables);
  const counts = {
    spilledPages: 0,
    copiedPages: 0,
    get evictedPrefixes() {
      return tree.evicted();
    },
  };
  /** What `attachRest` copies: the end of the beginning that was found. */
  const rests = new WeakMap<Holder, { readonly from: readonly number[]; readonly length: number }>();

  const take = (t: number): number | undefined => {
    const { pages } = tables[t]!;
    return pages.take() ?? (tree.evict(t) ? pages.take() : undefined);
  };
  const stand = (holder: Holder, node: PrefixNode | undefined): void => {
    if (node !== undefined) tree.lock(node);
    if (holder.node !== undefined) tree.unlock(holder.node);
    holder.node = node;
  };
  const treePages = (t: number): Map<number, number> => {
    const held = new Map<number, number>();
    for (const node of tree.nodes()) for (const page of node.pages[t]!) if (page !== noPage) held.set(page, (held.get(page) ?? 0) + 1);
    return held;
  };

  const keeper: CacheKeeper = {
    counts,
    attach(holder, limit) {
      const { sequence, namespace, reuses } = holder;
      if (!reuses) return;
      const match = tree.match(namespace, sequence.tokens, limit);
      const whole = Math.floor(match.length / pageSize);
      const from = match.pages.map((pages) => pages[whole] ?? noPage);
      sequence.pages.length = 0;
      match.pages.forEach((pages, t) => {
        sequence.pages[t] = pages.slice(0, whole);
        for (const page of sequence.pages[t]) if (page !== noPage) tables[t]!.pages.share(page);
      });
      stand(holder, match.node);
      sequence.computed = sequence.cached = whole * pageSize;
      if (match.length > sequence.computed && from.every((page) => page !== noPage)) rests.set(holder, { from, length: match.length });
    },

    async attachRest(holder) {
      const rest = rests.get(holder);
      rests.delete(holder);
      const { sequence } = holder;
      if (rest === undefined) return;
      const taken = tables.map((_, t) => take(t));
      const isEvicted = rest.from.some((page, t) => tables[t]!.pages.holders(page) === 0 || taken.includes(page));
      if (isEvicted || taken.includes(undefined)) {
        taken.forEach((page, t) => page !== undefined && tables[t]!.pages.giveBack(page));
        // What is left begins earlier, where a window may see pages that the whole of it had passed.
        const isWhole = tables.every((table, t) => !sequence.pages[t]!.includes(noPage, firstSeen(table, sequence.computed)));
        if (isWhole) return;
        releasePages(sequence, tables);
        sequence.cached = 0;
        return;
      }
      taken.forEach((page, t) => sequence.pages[t]!.push(page!));
      sequence.computed = sequence.cached = rest.length;
      counts.copiedPages += tables.length;
      await Promise.all(tables.map(({ name }, t) => loaded.copyPages(name, Int32Array.of(rest.from[t]!), Int32Array.of(taken[t]!))));
    },

    async reserve(holder, end) {
      const { sequence, spilled } = holder;
      if (!grow(sequence, end, tables, take)) {
        if (spilled !== undefined) forgetPages(sequence);
        return false;
      }
      if (spilled === undefined) return true;
      holder.spilled = undefined;
      try {
        for (const [t, { name }] of tables.entries()) {
          const pages = sequence.pages[t]!.filter((page) => page !== noPage).slice(0, spilled[t]!.count);
          await loaded.writePages(name, Int32Array.from(pages), await store!.read(spilled[t]!.name));
        }
      } catch {
        // The disk has lost it: the tokens are known, so nothing else is.
        releasePages(sequence, tables);
      }
      await Promise.all(spilled.map(({ name }) => store!.remove(name)));
      return sequence.computed > 0;
    },

    keep(holder) {
      const { sequence, reuses, namespace } = holder;
      if (reuses && sequence.pages.length > 0)
        stand(holder, tree.insert(namespace, sequence.tokens, Math.min(sequence.computed, sequence.tokens.length), sequence.pages));
      dropPassed(sequence, tables);
    },

    async release(holder) {
      const { spilled } = holder;
      releasePages(holder.sequence, tables);
      stand(holder, undefined);
      rests.delete(holder);
      holder.spilled = undefined;
      if (spilled !== undefined) await Promise.all(spilled.map(({ name }) => store!.remove(name)));
    },

    leave: (holder) => stand(holder, undefined),

    async spill(holder) {
      const { sequence } = holder;
      const isOwn = sequence.computed > sequence.cached;
      if (store === undefined || !isOwn) return keeper.release(holder);
      const written: SpilledPages[] = [];
      try {
        for (const [t, { name }] of tables.entries()) {
          const pages = sequence.pages[t]!.filter((page) => page !== noPage);
          written.push({ name: await store.write(await loaded.readPages(name, Int32Array.from(pages))), count: pages.length });
        }
      } catch {
        await Promise.all(written.map(({ name }) => store.remove(name)));
        return keeper.release(holder);
      }
      counts.spilledPages += written.reduce((sum, { count }) => sum + count, 0);
      forgetPages(sequence);
      stand(holder, undefined);
      holder.spilled = written;
    },

    available(holders, enough) {
      return tables.map(({ pages }, t) => {
        if (pages.free() >= enough) return pages.free();
        const held = new Set<number>();
        for (const { sequence } of holders) for (const page of sequence.pages[t] ?? []) if (page !== noPage) held.add(page);
        return pages.total - held.size;
      });
    },

    report: () =>
      Object.fromEntries(tables.map(({ name, pages }, t) => [name, { total: pages.total, free: pages.free(), cached: treePages(t).size }])),

    expectIdle() {
      for (const [t, { name, pages }] of tables.entries()) {
        const held = treePages(t);
        const wrong = [...held].find(([page, times]) => pages.holders(page) !== times);
        if (wrong === undefined && pages.free() + held.size === pages.total) continue;
        throw new FrugalError(
          "FRUGAL_INTERNAL",
          `cache: of ${pages.total} pages of ${name}, ${pages.free()} are free and ${held.size} hold prefixes${wrong ? `; page ${wrong[0]} has ${pages.holders(wrong[0])} holders, not ${wrong[1]}` : ""}; report this`,
        );
      }
      for (const node of tree.nodes())
        if (node.users !== 0)
          throw new FrugalError("FRUGAL_INTERNAL", `cache: ${node.users} texts stand on a prefix, but none runs; report this`);
    },
    clear: () => tree.clear(),
  };
  return keeper;

  /** Gives pages back, but not what is known of what they held. */
  function forgetPages(sequence: Sequence): void {
    const { computed } = sequence;
    releasePages(sequence, tables);
    sequence.computed = computed;
  }
}
