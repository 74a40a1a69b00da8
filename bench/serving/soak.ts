/**
 * A server under a random load with faults, for a while. Every answer is compared with what the same request got alone; every request must
 * end; and when all is quiet, no page may be held, and memory and open files must be what they were.
 */
import { connect } from "node:net";
import { ask, type Answer, catalogue, malformed, randomNumbers, type SoakRequest } from "./soak-requests.ts";

export interface SoakOptions {
  readonly url: string;
  readonly seconds: number;
  readonly clients: number;
  /** Names of adapters that the server has. */
  readonly adapters: readonly string[];
  readonly seed: number;
  /** Seconds in which the server must come to rest when nobody asks anything. Default 10. */
  readonly restWithin?: number;
  readonly signal: AbortSignal;
  /** Of the server's process, where the system says them. */
  memory(): number | undefined;
  openFiles(): number | undefined;
  say(text: string): void;
}

interface Quiet {
  /** Seconds since the load began. */
  readonly at: number;
  readonly resident: number | undefined;
  readonly openFiles: number | undefined;
  /** Share of the cache's pages that somebody holds. */
  readonly pagesHeld: number;
}

export interface SoakResult {
  readonly seconds: number;
  readonly sent: number;
  readonly answered: number;
  readonly aborted: number;
  readonly refusedAsBusy: number;
  readonly malformed: number;
  readonly disconnected: number;
  /** Requests that the server refuses even alone, with its words. */
  readonly leftOut: readonly string[];
  /** What was wrong, at most twenty of each kind. Empty is what is wanted. */
  readonly violations: readonly string[];
  readonly quiet: readonly Quiet[];
  /** Bytes per minute, by least squares over the quiet moments after the first third; undefined where there are too few. */
  readonly memorySlope: number | undefined;
}

/** A request that has no answer after this long is counted as unanswered. */
const patience = 120_000;
const quietEvery = 0.2;

export async function soak(options: SoakOptions): Promise<SoakResult> {
  const { url, seconds, clients, signal, say } = options;
  const requests: SoakRequest[] = [];
  const alone: Answer[] = [];
  const leftOut: string[] = [];
  for (const request of catalogue(options.seed, options.adapters)) {
    const answer = await ask(url, request, AbortSignal.any([signal, AbortSignal.timeout(patience)]));
    if (answer.status === 200) {
      requests.push(request);
      alone.push(answer);
    } else leftOut.push(`${request.path}: ${answer.status} ${answer.text.slice(0, 200)}`);
  }
  if (requests.length === 0) throw new Error(`soak: no request of the catalogue succeeds alone; the first answer is ${leftOut[0]}`);

  const counts = { sent: 0, answered: 0, aborted: 0, refusedAsBusy: 0, malformed: 0, disconnected: 0 };
  const violations: string[] = [];
  const wrong = (what: string): void => {
    const kind = what.split(":")[0]!;
    if (violations.filter((known) => known.startsWith(kind)).length < 20) violations.push(what);
    say(`soak: ${what}`);
  };
  const random = randomNumbers(options.seed);
  const quiet: Quiet[] = [];
  const begun = performance.now();
  const now = (): number => (performance.now() - begun) / 1000;

  async function answered(index: number, request: SoakRequest): Promise<void> {
    const timeout = AbortSignal.timeout(patience);
    try {
      const answer = await ask(url, request, AbortSignal.any([signal, timeout]));
      if (answer.status === 429) counts.refusedAsBusy++;
      else if (answer.status !== 200) wrong(`status: ${answer.status} ${answer.text.slice(0, 200)}`);
      else {
        counts.answered++;
        const wanted = alone[index]!;
        if (answer.text !== wanted.text || answer.finish !== wanted.finish || answer.tokens !== wanted.tokens)
          wrong(`different answer: request ${index} alone ${JSON.stringify(wanted)}, now ${JSON.stringify(answer)}`);
      }
    } catch (error) {
      signal.throwIfAborted();
      wrong(
        timeout.aborted
          ? `no answer: request ${index} in ${patience / 1000} s`
          : `failed: request ${index}: ${String((error as Error).cause ?? error)}`,
      );
    }
  }

  async function aborted(request: SoakRequest): Promise<void> {
    const leaving = new AbortController();
    setTimeout(() => leaving.abort(), 5 + random() * 400);
    counts.aborted++;
    await ask(url, request, AbortSignal.any([signal, leaving.signal])).catch(() => undefined);
  }

  async function refused(): Promise<void> {
    const { body, name } = malformed[Math.floor(random() * malformed.length)]!;
    counts.malformed++;
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
      signal,
    });
    const text = await response.text();
    if (response.status < 400 || response.status > 499 || !text.includes('"error"'))
      wrong(`not refused: ${name}: ${response.status} ${text.slice(0, 200)}`);
  }

  /** Goes away in the middle of a request, or while it is answered, without a word. */
  function disconnected({ path, body }: SoakRequest): Promise<void> {
    counts.disconnected++;
    const { hostname, port } = new URL(url);
    const bytes = Buffer.from(JSON.stringify(body));
    const sent = random() < 0.5 ? bytes : bytes.subarray(0, Math.floor(random() * bytes.length));
    return new Promise((resolve) => {
      const socket = connect(Number(port), hostname, () => {
        socket.write(
          `POST ${path} HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/json\r\ncontent-length: ${bytes.length}\r\n\r\n`,
        );
        socket.write(sent);
        setTimeout(() => socket.destroy(), random() * 300);
      });
      socket.on("error", () => undefined);
      socket.on("close", () => resolve());
      socket.resume();
    });
  }

  async function client(until: number): Promise<void> {
    while (now() < until && !signal.aborted) {
      const index = Math.floor(random() * requests.length);
      const request = requests[index]!;
      const kind = random();
      counts.sent++;
      if (kind < 0.65) await answered(index, request);
      else if (kind < 0.8) await aborted(request);
      else if (kind < 0.9) await disconnected(request);
      else await refused().catch((error: unknown) => (signal.throwIfAborted(), wrong(`failed: malformed request: ${String(error)}`)));
    }
  }

  const phases = Math.max(2, Math.round(1 / quietEvery));
  for (let phase = 0; phase < phases; phase++) {
    signal.throwIfAborted();
    await Promise.all(Array.from({ length: clients }, () => client(((phase + 1) / phases) * seconds)));
    const gauges = await settled(url, options.restWithin ?? 10, signal);
    if (gauges.running !== 0 || gauges.waiting !== 0) wrong(`not idle: ${gauges.running} run and ${gauges.waiting} wait with nobody there`);
    if (gauges.pagesHeld !== 0) wrong(`pages: a share of ${gauges.pagesHeld} is held with nobody there`);
    quiet.push({ at: now(), resident: options.memory(), openFiles: options.openFiles(), pagesHeld: gauges.pagesHeld });
    say(`soak: ${now().toFixed(0)} of ${seconds} s, ${counts.answered} answered, ${violations.length} violations`);
  }
  const [first, last] = [quiet[0]!, quiet.at(-1)!];
  // Connections that the client keeps open are the server's too.
  if (first.openFiles !== undefined && last.openFiles! > first.openFiles + clients)
    wrong(`open files: ${first.openFiles} at first, ${last.openFiles} at last`);
  return { seconds: now(), ...counts, leftOut, violations, quiet, memorySlope: slope(quiet.slice(Math.floor(quiet.length / 3))) };
}

interface Gauges {
  readonly running: number;
  readonly waiting: number;
  readonly pagesHeld: number;
}

/** What the server says of itself once it says that nothing runs, or after so many seconds. */
async function settled(url: string, seconds: number, signal: AbortSignal): Promise<Gauges> {
  const deadline = performance.now() + 1000 * seconds;
  for (;;) {
    const text = await (await fetch(`${url}/metrics`, { signal })).text();
    const gauge = (name: string): number => {
      const found = new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)`, "m").exec(text);
      if (found === null) throw new Error(`soak: the server's metrics have no ${name}`);
      return Number(found[1]);
    };
    const gauges = {
      running: gauge("vllm:num_requests_running"),
      waiting: gauge("vllm:num_requests_waiting"),
      pagesHeld: gauge("vllm:kv_cache_usage_perc"),
    };
    if (performance.now() > deadline || Object.values(gauges).every((value) => value === 0)) return gauges;
    await new Promise((resolve) => void setTimeout(resolve, 100));
  }
}

function slope(quiet: readonly Quiet[]): number | undefined {
  const points = quiet.flatMap(({ at, resident }) => (resident === undefined ? [] : [[at / 60, resident] as const]));
  if (points.length < 3) return undefined;
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(points.map(([at]) => at)), mean(points.map(([, bytes]) => bytes))];
  return points.reduce((sum, [at, bytes]) => sum + (at - x) * (bytes - y), 0) / points.reduce((sum, [at]) => sum + (at - x) ** 2, 0);
}
