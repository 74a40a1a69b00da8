/** One reading of what this machine can do: `node calibrate.js bandwidth|f32|int8 THREADS`. Prints `{"rate": x, "instructionSet": "..."}`; bytes or operations a second. */
const core = new URL("../../dist/backends/native/", import.meta.url);
const { calibrate } = (await import(new URL("calibrate.js", core).href)) as {
  calibrate(kind: string, options: { readonly threads: number }): Promise<number>;
};
const { instructionSets } = (await import(new URL("backend.js", core).href)) as {
  instructionSets(): { readonly sets: readonly string[] } | { readonly reason: string };
};

const [kind = "", threads] = process.argv.slice(2);
const found = instructionSets();
const rate = await calibrate(kind, { threads: Number(threads) });
console.log(JSON.stringify({ rate, instructionSet: "sets" in found ? found.sets[0] : undefined }));
