/** Bin packing by first fit, the largest first (Johnson 1973): never more than 11/9 of the fewest bins, and 6/9 of one. */

/**
 * Puts items of these sizes into bins of `capacity`; an item larger than that gets a bin of its own. Indexes in each bin ascend, and bins
 * are in the order of their first items.
 */
export function firstFitDecreasing(sizes: readonly number[], capacity: number): number[][] {
  const order = sizes.map((_, i) => i).sort((a, b) => sizes[b]! - sizes[a]! || a - b);
  const bins: { readonly items: number[]; left: number }[] = [];
  for (const item of order) {
    let bin = bins.find(({ left }) => left >= sizes[item]!);
    if (bin === undefined) bins.push((bin = { items: [], left: capacity }));
    bin.items.push(item);
    bin.left -= sizes[item]!;
  }
  return bins.map(({ items }) => items.sort((a, b) => a - b)).sort((a, b) => a[0]! - b[0]!);
}
