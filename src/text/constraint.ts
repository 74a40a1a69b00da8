/** Constraints on what a model may write, and their compilation to masks over the vocabulary. */

/** What a text must be. */
export type Constraint =
  | { readonly kind: "json" }
  | { readonly kind: "json-schema"; readonly schema: unknown }
  | { readonly kind: "regex"; readonly pattern: string }
  | { readonly kind: "choice"; readonly choices: readonly string[] }
  | { readonly kind: "grammar"; readonly grammar: string };
