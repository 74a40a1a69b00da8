/** Writing one text with the same model in 16 bits. */
import { type Claim, timesPeer } from "../claim.ts";
import { decode } from "./decode.ts";

export const decodeF16: Claim = { ...decode, name: "decode-f16", title: `${decode.title}, F16`, format: "F16", goal: timesPeer(1.1) };
