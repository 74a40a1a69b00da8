// The rules of the house that a machine can check. Few rules, all errors; testing/repository/lint.test.ts plants a fault for each.

// Bottom to top. A file may import its own folder and earlier rows; never a neighbour in its row, never a later row.
const layers = [
  ["tensor"],
  ["graph"],
  ["ops"],
  ["transforms", "formats", "text", "media"],
  ["backends"],
  ["blocks"],
  ["models"],
  ["training", "serving", "federated"],
  ["techniques"],
  ["budget", "evaluate"],
  ["server", "ai-sdk", "browser"],
  ["cli"],
];

const tests = "*.test.ts";
// Where the operating system may be seen: everything else also runs in browsers.
const rankFiles = ["src/training/collectives/workers.ts", "src/training/collectives/mpi.ts"];
const systemFiles = [
  "src/backends/native/**",
  "src/backends/wasm/node.ts",
  "src/formats/files.ts",
  ...rankFiles,
  "src/cli/**",
  "src/server/**",
];
const systemGlobals = ["process", "Buffer", "require", "module", "__dirname", "__filename", "global", "setImmediate"];

const systemImports = {
  regex: "^node:",
  message:
    "only backends/native, backends/wasm/node.ts, formats/files.ts, training/collectives (workers.ts, mpi.ts), server and cli may import node: modules",
};
const outsideImports = (up) => ({ regex: `^${up}\\.\\./`, message: "src may not import from outside src; only tests import testing/" });
const publicImports = (up) => ({ regex: `^${up}[^/]+\\.ts$`, message: "the public API stands above every layer; import the layer itself" });
const layerImports = (up, folder, higher) => ({
  regex: `^${up}(?:${higher.join("|")})(?:/|$)`,
  message: `${folder} may not know these layers: ${higher.join(", ")}; see ARCHITECTURE.md`,
});

const restrict = (patterns) => ({ "no-restricted-imports": ["error", { patterns }] });

// Folders inside a layer may carry a layer's name (tensor/formats), so each depth has its own pattern of "../".
const depths = [1, 2, 3, 4];
function layerOverrides(folder, row) {
  const higher = layers
    .slice(row)
    .flat()
    .filter((name) => name !== folder);
  return depths.flatMap((depth) => {
    const up = "(?:\\./)?" + "\\.\\./".repeat(depth);
    const inner = `src/${folder}/${"*/".repeat(depth - 1)}`;
    const always = [publicImports(up), ...(higher.length > 0 ? [layerImports(up, folder, higher)] : [])];
    const seesSystem = folder === "server" || folder === "cli";
    return [
      { files: [`${inner}*.ts`], rules: restrict([...always, outsideImports(up), ...(seesSystem ? [] : [systemImports])]) },
      ...(folder === "backends" && depth > 1
        ? [{ files: [`src/backends/native/${"*/".repeat(depth - 2)}*.ts`], rules: restrict([...always, outsideImports(up)]) }]
        : []),
      ...(folder === "backends" && depth === 2
        ? [{ files: ["src/backends/wasm/node.ts"], rules: restrict([...always, outsideImports(up)]) }]
        : []),
      ...(folder === "formats" && depth === 1
        ? [{ files: ["src/formats/files.ts"], rules: restrict([...always, outsideImports(up)]) }]
        : []),
      ...(folder === "training" && depth === 2 ? [{ files: rankFiles, rules: restrict([...always, outsideImports(up)]) }] : []),
      { files: [`${inner}${tests}`], rules: restrict(always) },
    ];
  });
}

export default {
  plugins: ["import", "typescript", "unicorn", "oxc"],
  categories: { correctness: "error" },
  options: { reportUnusedDisableDirectives: "error" },
  rules: {
    "import/no-cycle": ["error", { ignoreTypes: true }],
    "max-lines": ["error", { max: 400 }],
    "unicorn/prefer-node-protocol": "error",
    "typescript/no-explicit-any": "error",
    "typescript/ban-ts-comment": "error",
    // Leaving a field out is said by naming it: ({ causal: _, ...options }).
    "no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_", ignoreRestSiblings: true }],
    "no-control-regex": "off", // parsers of bytes name control characters on purpose
    "unicorn/no-new-array": "off", // new Array(n).fill(0) is clear
  },
  overrides: [
    { files: ["src/**", "testing/**", "bench/**"], rules: { "import/no-default-export": "error" } },
    { files: ["src/**"], excludeFiles: [...systemFiles, "**/*.test.ts"], rules: { "no-restricted-globals": ["error", ...systemGlobals] } },
    { files: ["src/*.ts"], rules: restrict([outsideImports("(?:\\./)?"), systemImports]) },
    ...layers.flatMap((row, i) => row.flatMap((folder) => layerOverrides(folder, i))),
  ],
};
