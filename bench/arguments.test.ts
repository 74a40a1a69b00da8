import { expect, test } from "vitest";
import { parseArguments, usage, WrongUsage } from "./arguments.ts";

const claims = ["decode", "prefill"];
const parse = (...args: string[]): ReturnType<typeof parseArguments> => parseArguments(args, claims, { XDG_CACHE_HOME: "/cache" });

test("a model alone is measured at everything, against the peer that can be installed", () => {
  expect(parse("m.gguf")).toEqual({
    model: "m.gguf",
    threads: 2,
    repeat: 5,
    quantities: claims,
    peers: ["node-llama-cpp"],
    also: [],
    cache: "/cache/frugal/peers",
  });
});

test("every option changes what it names", () => {
  const sizes = "--threads 4 --repeat 7 --chunks 3 --quantities prefill --peers llama.cpp";
  const places = "--llama-cpp bin --also a.gguf --also b.gguf --text t.txt --cache c --json o.json";
  const given = parse("m.gguf", ...`${sizes} ${places}`.split(" "));
  expect(given).toEqual({
    model: "m.gguf",
    threads: 4,
    repeat: 7,
    quantities: ["prefill"],
    peers: ["llama.cpp"],
    llamaCpp: "bin",
    also: ["a.gguf", "b.gguf"],
    text: "t.txt",
    chunks: 3,
    cache: "c",
    json: "o.json",
  });
});

test("llama.cpp joins where its folder is given", () => {
  expect(parse("m.gguf", "--llama-cpp", "bin")!.peers).toEqual(["llama.cpp", "node-llama-cpp"]);
});

test("help is help", () => {
  expect(parse("--help")).toBeUndefined();
  expect(usage(claims)).toContain("decode, prefill");
});

test.each([
  [[], "MODEL is missing"],
  [["a", "b"], "one MODEL at a time; there is also b"],
  [["m", "--threads", "0"], '--threads is "0"'],
  [["m", "--repeat", "2.5"], '--repeat is "2.5"'],
  [["m", "--chunks", "x"], '--chunks is "x"'],
  [["m", "--quantities", "decode,speed"], 'there is no "speed"; there are decode, prefill'],
  [["m", "--peers", "ollama"], 'there is no "ollama"; there are llama.cpp, node-llama-cpp'],
  [["m", "--peers", "llama.cpp"], "give --llama-cpp DIR"],
  [["m", "--thread", "2"], "--thread"],
])("%j is wrong usage", (args, message) => {
  expect(() => parse(...args)).toThrow(WrongUsage);
  expect(() => parse(...args)).toThrow(message);
});
