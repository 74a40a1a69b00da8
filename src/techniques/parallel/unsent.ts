/** Error feedback (Seide et al. 2014; Karimireddy et al. 2019, arXiv 1901.09847): what one step did not send is added to the next one's gradient. */

export interface Unsent {
  /** What a parameter still owes; zeros at first. Written to in place. */
  of(name: string, length: number): Float32Array;
}

/** Without feedback nothing is owed: what was not sent is lost. */
export function unsent(feedback: boolean): Unsent {
  const kept = new Map<string, Float32Array>();
  return {
    of(name, length) {
      const found = feedback ? kept.get(name) : undefined;
      if (found !== undefined) return found;
      const fresh = new Float32Array(length);
      if (feedback) kept.set(name, fresh);
      return fresh;
    },
  };
}
