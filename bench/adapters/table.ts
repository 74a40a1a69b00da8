/** The measurements as the page has them. */
import type { Batches } from "./batches.ts";
import type { Many } from "./many.ts";

export function table({ texts, ways, sameTokensAsAlone }: Batches, many: Many | undefined): string {
  const rows = ways.map(
    ({ name, tokensPerSecond: { median, least, most }, toOneAdapter }) =>
      `| ${name} | ${median.toFixed(1)} (${least.toFixed(1)} to ${most.toFixed(1)}) | ${toOneAdapter.median.toFixed(2)} |`,
  );
  const head = [`| ${texts} texts at a time, adapters | tokens/s, all texts | to one adapter |`, "|---|---|---|"];
  const same = `Eight texts of eight adapters wrote ${sameTokensAsAlone ? "the tokens" : "OTHER TOKENS than"} each writes alone.`;
  const { withModel, withAdapters, afterwards } = many?.megabytes ?? { withModel: 0, withAdapters: 0, afterwards: 0 };
  const last =
    many === undefined
      ? []
      : [
          "",
          `${many.adapters} adapters in files through ${many.slots} slots, ${many.requests} texts that ask by Zipf's law for ${many.adaptersAskedFor} of them: ` +
            `${many.tokensPerSecond.toFixed(1)} tokens/s, ${many.ratio.toFixed(2)} of what one adapter for all gives; an adapter is read in ` +
            `${(1000 * many.secondsPerLoad).toFixed(0)} ms; ${withModel} MB with the model, ${withAdapters} with the adapters loaded, ${afterwards} afterwards.`,
        ];
  return [...head, ...rows, "", same, ...last].join("\n");
}
