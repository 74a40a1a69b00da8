/** Writing one text with the same model in 8 bits. */
import { type Claim, timesPeer } from "../claim.ts";
import { decode } from "./decode.ts";

export const decodeQ8: Claim = { ...decode, name: "decode-q8_0", title: `${decode.title}, Q8_0`, format: "Q8_0", goal: timesPeer(1.5) };
