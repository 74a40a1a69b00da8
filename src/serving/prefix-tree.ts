/**
 * Keys and values of earlier texts, found by their tokens: a radix tree whose edges are runs of tokens. A page belongs to every node that has
 * tokens in it; the page of the deepest such node holds all tokens before, so a text that leaves another in the middle of a page copies it and
 * computes none of it again. Nodes that a running text stands on are locked; of the others the least recently used leaf goes first.
 */
import { pageSize } from "../ops/cache.ts";
import { firstSeen, noPage, pagesFor, type PageTable } from "./page-tables.ts";
import { type Leaves, leastRecentlyUsed } from "./least-recently-used.ts";

export interface PrefixNode {
  parent: PrefixNode | undefined;
  /** Position of its first token. */
  start: number;
  tokens: number[];
  /** Of each table, from page `floor(start / pageSize)` on. */
  pages: number[][];
  readonly children: Map<number, PrefixNode>;
  /** Running texts on it or below. */
  users: number;
  /** Of a root. */
  readonly namespace: string | undefined;
}

export interface Match {
  readonly length: number;
  /** Of each table, from the first page on. */
  readonly pages: number[][];
  readonly node: PrefixNode;
}

export interface PrefixTree {
  /** The longest beginning of `tokens`, at most `limit` of them, whose keys and values are there. */
  match(namespace: string, tokens: readonly number[], limit: number): Match;
  /**
   * Keeps the first `length` tokens with their pages. Where the tree has whole pages of the same tokens already, `pages` gets the tree's: the
   * numbers in them are the same, bit for bit. Returns the node to lock.
   */
  insert(namespace: string, tokens: readonly number[], length: number, pages: readonly number[][]): PrefixNode;
  lock(node: PrefixNode): void;
  unlock(node: PrefixNode): void;
  /** Frees a page of a table, if it can. May free others beside it. */
  evict(table: number): boolean;
  /** Forgets everything that is not locked. */
  clear(): void;
  evicted(): number;
  nodes(): Iterable<PrefixNode>;
}

export function createPrefixTree(tables: readonly PageTable[]): PrefixTree {
  const roots = new Map<string, PrefixNode>();
  const isIdleLeaf = (node: PrefixNode): boolean => node.users === 0 && node.children.size === 0 && node.parent !== undefined;
  const leaves: Leaves<PrefixNode> = leastRecentlyUsed(isIdleLeaf);
  let evicted = 0;

  const firstPage = (node: PrefixNode): number => Math.floor(node.start / pageSize);
  const share = (t: number, page: number): number => {
    if (page !== noPage) tables[t]!.pages.share(page);
    return page;
  };
  const giveBack = (t: number, page: number): void => {
    if (page !== noPage) tables[t]!.pages.giveBack(page);
  };
  function newNode(parent: PrefixNode, start: number, tokens: number[], pages: number[][], users: number): PrefixNode {
    return { parent, start, tokens, pages, children: new Map(), users, namespace: undefined };
  }
  function rootOf(namespace: string): PrefixNode {
    const known = roots.get(namespace);
    if (known !== undefined) return known;
    const root = { parent: undefined, start: 0, tokens: [], pages: tables.map(() => []), children: new Map(), users: 0, namespace };
    roots.set(namespace, root);
    return root;
  }
  function forgetRoot({ namespace, children, users }: PrefixNode): void {
    if (namespace !== undefined && children.size === 0 && users === 0) roots.delete(namespace);
  }

  /** The node becomes two; the upper one is returned. A page across the border belongs to both. */
  function split(node: PrefixNode, at: number): PrefixNode {
    const border = node.start + at;
    const upperPages = pagesFor(border) - firstPage(node);
    const upper = newNode(
      node.parent!,
      node.start,
      node.tokens.slice(0, at),
      node.pages.map((pages, t) => {
        const kept = pages.slice(0, upperPages);
        if (border % pageSize !== 0) share(t, kept.at(-1)!);
        return kept;
      }),
      node.users,
    );
    const lowerFrom = Math.floor(border / pageSize) - firstPage(node);
    for (const pages of node.pages) pages.splice(0, lowerFrom);
    node.parent!.children.set(node.tokens[0]!, upper);
    node.tokens = node.tokens.slice(at);
    node.start = border;
    node.parent = upper;
    upper.children.set(node.tokens[0]!, node);
    return upper;
  }

  function remove(node: PrefixNode): void {
    node.pages.forEach((pages, t) => pages.forEach((page) => giveBack(t, page)));
    const parent = node.parent!;
    parent.children.delete(node.tokens[0]!);
    node.parent = undefined;
    evicted++;
    forgetRoot(parent);
    if (isIdleLeaf(parent)) leaves.touch(parent);
  }

  /** Takes from `node` its pages that only the tree holds, where layers with a window could use them for texts that branch off here. */
  function strip(table: number): boolean {
    let found = false;
    for (const node of nodes())
      node.pages[table]!.forEach((page, i) => {
        if (page === noPage || tables[table]!.pages.holders(page) !== 1) return;
        giveBack(table, page);
        node.pages[table]![i] = noPage;
        found = true;
      });
    return found;
  }

  function* nodes(): Generator<PrefixNode> {
    const waiting = [...roots.values()];
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      yield node;
      waiting.push(...node.children.values());
    }
  }

  const common = (node: PrefixNode, tokens: readonly number[], at: number, limit: number): number => {
    let n = 0;
    while (n < node.tokens.length && at + n < limit && node.tokens[n] === tokens[at + n]) n++;
    return n;
  };

  /** The longest length up to `length` at which no table lacks a page that the next token sees. */
  function usable(pages: readonly (readonly number[])[], length: number): number {
    for (let checked = 0; checked < tables.length;) {
      const table = tables[checked]!;
      let page = pagesFor(length) - 1;
      const first = firstSeen(table, length);
      while (page >= first && pages[checked]![page] !== noPage) page--;
      if (page < first) checked++;
      else [length, checked] = [page * pageSize, 0];
    }
    return length;
  }

  return {
    match(namespace, tokens, limit) {
      let node = roots.get(namespace);
      const pages: number[][] = tables.map(() => []);
      if (node === undefined) return { length: 0, pages, node: rootOf(namespace) };
      let length = 0;
      while (length < limit) {
        const child: PrefixNode | undefined = node.children.get(tokens[length]!);
        if (child === undefined) break;
        const shared = common(child, tokens, length, limit);
        length += shared;
        const from = firstPage(child);
        const to = pagesFor(length);
        child.pages.forEach((own, t) => {
          for (let i = from; i < to; i++) pages[t]![i] = own[i - from]!;
        });
        node = child;
        if (shared < child.tokens.length) break;
      }
      if (isIdleLeaf(node)) leaves.touch(node);
      const found = usable(pages, length);
      for (const [t, table] of tables.entries()) {
        pages[t]!.length = pagesFor(found);
        pages[t]!.fill(noPage, 0, Math.min(firstSeen(table, found), pages[t]!.length));
      }
      return { length: found, pages, node };
    },

    insert(namespace, tokens, length, pages) {
      let node = rootOf(namespace);
      let at = 0;
      while (at < length) {
        const child = node.children.get(tokens[at]!);
        if (child === undefined) {
          const from = Math.floor(at / pageSize);
          const own = tables.map((_, t) => pages[t]!.slice(from, pagesFor(length)).map((page) => share(t, page)));
          if (node.parent !== undefined && node.children.size === 0) {
            // A leaf that goes on: its last page, if it was not full, is now the one of the longer text.
            const overlap = firstPage(node) + node.pages[0]!.length - from;
            node.pages.forEach((known, t) => {
              for (let i = 0; i < overlap; i++) giveBack(t, known.pop()!);
              known.push(...own[t]!);
            });
            for (let i = at; i < length; i++) node.tokens.push(tokens[i]!);
          } else {
            const added = newNode(node, at, tokens.slice(at, length), own, 0);
            node.children.set(tokens[at]!, added);
            node = added;
          }
          break;
        }
        const shared = common(child, tokens, at, length);
        adopt(child, pages, at, at + shared);
        at += shared;
        node = at < length && shared < child.tokens.length ? split(child, shared) : child;
      }
      if (isIdleLeaf(node)) leaves.touch(node);
      return node;
    },

    lock(node) {
      for (let n: PrefixNode | undefined = node; n !== undefined; n = n.parent) n.users++;
    },
    unlock(node) {
      for (let n: PrefixNode | undefined = node; n !== undefined; n = n.parent) {
        n.users--;
        forgetRoot(n);
      }
      if (isIdleLeaf(node)) leaves.touch(node);
    },

    evict(table) {
      const { pages } = tables[table]!;
      const before = pages.free();
      for (let leaf = leaves.take(); leaf !== undefined; leaf = leaves.take()) {
        remove(leaf);
        if (pages.free() > before) return true;
      }
      return tables[table]!.window !== undefined && strip(table);
    },
    clear() {
      for (let leaf = leaves.take(); leaf !== undefined; leaf = leaves.take()) remove(leaf);
    },
    evicted: () => evicted,
    nodes,
  };

  /** Whole pages that the tree has of the same tokens replace a text's own; pages that the tree has lost come back. */
  function adopt(node: PrefixNode, pages: readonly number[][], from: number, to: number): void {
    for (let i = Math.floor(from / pageSize); i < pagesFor(to); i++) {
      const isWhole = (i + 1) * pageSize <= to && i * pageSize >= node.start;
      node.pages.forEach((known, t) => {
        const [mine, theirs] = [pages[t]![i]!, known[i - firstPage(node)]!];
        if (!isWhole || mine === theirs || mine === noPage) return;
        if (theirs === noPage) known[i - firstPage(node)] = share(t, mine);
        else {
          pages[t]![i] = share(t, theirs);
          giveBack(t, mine);
        }
      });
    }
  }
}
