import fc from "fast-check";
import { expect, test } from "vitest";
import { pageSize } from "../ops/cache.ts";
import { firstSeen, noPage, pagesFor, type PageTable } from "./page-tables.ts";
import { createPages } from "./pages.ts";
import { createPrefixTree } from "./prefix-tree.ts";

/** Tokens of a text: a common beginning, then its own. */
const textOf = ({ length, fork, branch }: { length: number; fork: number; branch: number }): number[] =>
  Array.from({ length }, (_, i) => (i < fork ? i % 3 : (i + 1 + branch) % 5));
const text = fc.record({ length: fc.integer({ min: 1, max: 150 }), fork: fc.nat(120), branch: fc.nat(3) });

test("finds the longest beginning that was kept, with pages that hold just these tokens; nothing is lost", () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ text, evicts: fc.nat(3) }), { minLength: 1, maxLength: 20 }),
      fc.constantFrom(undefined, 33, 70),
      (steps, window) => {
        const tables: PageTable[] = [undefined, window].map((w, i) => ({ name: `${i}`, window: w, pages: createPages(400) }));
        const tree = createPrefixTree(tables);
        /** What each page of each table holds: the text up to the page's end, as far as it was written. */
        const held = tables.map(() => new Map<number, readonly number[]>());
        const kept: number[][] = [];
        for (const step of steps) {
          const tokens = textOf(step.text);
          const { length, pages } = tree.match("", tokens, tokens.length);
          const longest = Math.max(
            0,
            ...kept.map((known) => tokens.findIndex((id, i) => known[i] !== id)).map((n) => (n < 0 ? tokens.length : n)),
          );
          if (window === undefined && step.evicts === 0 && kept.length > 0 && steps.every(({ evicts }) => evicts === 0))
            expect(length).toBe(longest);
          expect(length).toBeLessThanOrEqual(longest);
          tables.forEach((table, t) => {
            for (let i = 0; i < pagesFor(length); i++)
              if (i < firstSeen(table, length)) expect(pages[t]![i]).toBe(noPage);
              else {
                const found = held[t]!.get(pages[t]![i]!)!;
                expect(found.slice(0, Math.min(length, (i + 1) * pageSize))).toEqual(tokens.slice(0, Math.min(length, (i + 1) * pageSize)));
              }
          });
          // The text runs: whole pages are shared, the rest is its own.
          const own = tables.map((_, t) =>
            Array.from({ length: pagesFor(tokens.length) }, (_page, i) => {
              const shared = (i + 1) * pageSize <= length ? pages[t]![i]! : undefined;
              if (shared === noPage) return noPage;
              if (shared !== undefined) tables[t]!.pages.share(shared);
              const page = shared ?? tables[t]!.pages.take()!;
              if (shared === undefined) held[t]!.set(page, tokens.slice(0, (i + 1) * pageSize));
              return page;
            }),
          );
          const node = tree.insert("", tokens, tokens.length, own);
          tree.lock(node);
          kept.push(tokens);
          for (let n = 0; n < step.evicts; n++) tree.evict(n % 2);
          tree.unlock(node);
          own.forEach((list, t) => list.forEach((page) => page !== noPage && tables[t]!.pages.giveBack(page)));
        }
        tree.clear();
        for (const { pages } of tables) expect(pages.free()).toBe(400);
        expect([...tree.nodes()]).toEqual([]);
      },
    ),
    { numRuns: 300 },
  );
});

test("namespaces are apart, and forgotten with their last text", () => {
  const tables: PageTable[] = [{ name: "pageTable", window: undefined, pages: createPages(4) }];
  const tree = createPrefixTree(tables);
  const page = tables[0]!.pages.take()!;
  tree.insert("a", [1, 2, 3], 3, [[page]]);
  tables[0]!.pages.giveBack(page);
  expect(tree.match("a", [1, 2, 4], 3).length).toBe(2);
  const other = tree.match("b", [1, 2, 3], 3);
  expect(other.length).toBe(0);
  tree.lock(other.node);
  tree.unlock(other.node);
  expect([...tree.nodes()].map(({ namespace }) => namespace)).toEqual(["a", undefined]);
  expect(tree.evict(0)).toBe(true);
  expect([...tree.nodes()]).toEqual([]);
});

test("locked texts stay; the least recently used goes first", () => {
  const tables: PageTable[] = [{ name: "pageTable", window: undefined, pages: createPages(4) }];
  const tree = createPrefixTree(tables);
  const nodes = [1, 2, 3].map((token) => {
    const page = tables[0]!.pages.take()!;
    const node = tree.insert("", [token, 9], 2, [[page]]);
    tables[0]!.pages.giveBack(page);
    return node;
  });
  tree.lock(nodes[0]!);
  tree.match("", [2], 1);
  tree.evict(0);
  const found = (): number[] => [1, 2, 3].map((token) => tree.match("", [token, 9], 2).length);
  expect(found()).toEqual([2, 2, 0]);
  tree.evict(0);
  expect(tree.evict(0)).toBe(false);
  expect(found()).toEqual([2, 0, 0]);
  expect(tree.evicted()).toBe(2);
});
