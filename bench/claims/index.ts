/** All claims, in the order of the table in docs/benchmarks.md. */
import type { Claim } from "../claim.ts";
import { decodeF16 } from "./decode-f16.ts";
import { decodeQ8 } from "./decode-q8_0.ts";
import { decode } from "./decode.ts";
import { firstToken } from "./first-token.ts";
import { memory } from "./memory.ts";
import { perplexity } from "./perplexity.ts";
import { prefill } from "./prefill.ts";
import { together } from "./together.ts";

export const claims: readonly Claim[] = [decode, prefill, decodeQ8, decodeF16, together, firstToken, memory, perplexity];
