/** docs/serving.md keeps its own words; what stands between the marks of an experiment is replaced by what was measured. */

/** @throws where the page has no place for `name`. */
export function fillIn(page: string, name: string, content: string): string {
  const [begin, end] = [`<!-- measured: ${name} -->`, "<!-- end -->"];
  const from = page.indexOf(begin);
  const to = page.indexOf(end, from);
  if (from < 0 || to < 0) throw new Error(`page: there is no place for ${name}; write ${begin} and ${end} where it belongs`);
  return `${page.slice(0, from + begin.length)}\n\n${content}\n\n${page.slice(to)}`;
}
