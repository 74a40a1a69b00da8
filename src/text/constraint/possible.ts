/** Whether rules allow any text at all. */
import type { Expression } from "./expression.ts";
import { isEmpty } from "./language.ts";

export function isPossible(rules: readonly Expression[], root: Expression): boolean {
  const may = rules.map(() => false);
  const holds = (e: Expression): boolean => {
    if (e.kind === "sequence") return e.parts.every(holds);
    if (e.kind === "choice") return e.options.some(holds);
    if (e.kind === "repeat") return e.least === 0 || holds(e.body);
    if (e.kind === "rule") return may[e.index]!;
    if (e.kind === "language") return !isEmpty(e.language);
    return e.kind === "text" || e.set.length > 0;
  };
  for (let changed = true; changed;) {
    changed = false;
    rules.forEach((rule, i) => {
      if (may[i] === true || !holds(rule)) return;
      may[i] = true;
      changed = true;
    });
  }
  return holds(root);
}
