/**
 * What each tenant got, for a fair share of the queue: the virtual token counters of Sheng et al. 2024 (Fairness in Serving Large Language
 * Models, arXiv 2401.00588, algorithm 2). A tenant who comes back starts from the least served of those present, so nobody saves up.
 */

export interface FairShare {
  arrive(tenant: string): void;
  leave(tenant: string): void;
  charge(tenant: string, tokens: number): void;
  service(tenant: string): number;
}

export function createFairShare(): FairShare {
  const present = new Map<string, { service: number; requests: number }>();
  /** Where the least served stood when everybody had left. */
  let level = 0;
  const least = (): number => Math.min(...[...present.values()].map(({ service }) => service));
  return {
    arrive(tenant) {
      const known = present.get(tenant);
      if (known !== undefined) known.requests++;
      else present.set(tenant, { service: present.size > 0 ? least() : level, requests: 1 });
    },
    leave(tenant) {
      const known = present.get(tenant)!;
      if (--known.requests > 0) return;
      present.delete(tenant);
      if (present.size === 0) level = known.service;
    },
    charge(tenant, tokens) {
      const known = present.get(tenant);
      if (known !== undefined) known.service += tokens;
    },
    service: (tenant) => present.get(tenant)?.service ?? level,
  };
}
