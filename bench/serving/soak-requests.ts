/** What a soak sends: requests whose answers are always the same, and such as must be refused. */
export interface SoakRequest {
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface Answer {
  readonly status: number;
  /** What was written, or why not. */
  readonly text: string;
  readonly finish: string | undefined;
  readonly tokens: number | undefined;
}

const words = "the little dog ran to a big tree and saw one red bird sing near its house while mother made warm bread".split(" ");
const colour = {
  type: "object",
  properties: { colour: { enum: ["red", "green", "blue"] } },
  required: ["colour"],
  additionalProperties: false,
};

/** Chats and completions, whole and streamed, greedy and drawn, with and without constraints and adapters; many begin alike. */
export function catalogue(seed: number, adapters: readonly string[]): readonly SoakRequest[] {
  const random = randomNumbers(seed);
  const text = (count: number): string => Array.from({ length: count }, () => words[Math.floor(random() * words.length)]).join(" ");
  const shared = text(40);
  const models = ["default", ...adapters];
  return Array.from({ length: 24 }, (_, i) => {
    const prompt = `${i % 3 === 0 ? `${shared} ` : ""}${text(4 + Math.floor(random() * 40))}`;
    const isChat = i % 2 === 0;
    const isConstrained = i % 6 === 4;
    return {
      path: isChat ? "/v1/chat/completions" : "/v1/completions",
      body: {
        model: models[i % models.length],
        ...(isChat ? { messages: [{ role: "user", content: prompt }] } : { prompt }),
        max_tokens: isConstrained ? 40 : 4 + Math.floor(random() * 40),
        ...(i % 4 < 2 ? { temperature: 0 } : { temperature: 1, seed: i }),
        ...(isConstrained ? { response_format: { type: "json_schema", json_schema: { name: "colour", schema: colour } } } : {}),
        ...(i % 5 < 3 ? { stream: true, stream_options: { include_usage: true } } : {}),
      },
    };
  });
}

const message = [{ role: "user", content: "a" }];
/** Bodies that a server must refuse with 400 to 499 and an error object, whatever else it does. */
export const malformed: readonly { readonly name: string; readonly body: string | Uint8Array<ArrayBuffer> }[] = [
  { name: "no JSON", body: "{" },
  { name: "no object", body: "[1,2]" },
  { name: "nothing", body: "" },
  { name: "no messages", body: "{}" },
  { name: "messages are no list", body: JSON.stringify({ messages: "a" }) },
  { name: "a role that is not", body: JSON.stringify({ messages: [{ role: "wizard", content: "a" }] }) },
  { name: "temperature below zero", body: JSON.stringify({ messages: message, temperature: -1 }) },
  { name: "top_p above one", body: JSON.stringify({ messages: message, top_p: 2 }) },
  { name: "no tokens", body: JSON.stringify({ messages: message, max_tokens: -5 }) },
  { name: "a model that is not", body: JSON.stringify({ model: "nobody", messages: message }) },
  { name: "nested deeply", body: `${'{"a":'.repeat(5000)}1${"}".repeat(5000)}` },
  { name: "too long a prompt", body: JSON.stringify({ messages: [{ role: "user", content: "long ".repeat(100_000) }] }) },
  { name: "no UTF-8", body: Uint8Array.from([0x7b, 0xff, 0xfe, 0x7d]) },
];

interface Choice {
  readonly text?: string | null;
  readonly message?: { readonly content?: string | null };
  readonly delta?: { readonly content?: string | null };
  readonly finish_reason?: string | null;
}

interface Body {
  readonly choices?: readonly Choice[];
  readonly usage?: { readonly completion_tokens?: number } | null;
  readonly error?: { readonly message?: string };
}

/** Rejects where the connection breaks or the stream has no end. */
export async function ask(url: string, { path, body }: SoakRequest, signal: AbortSignal): Promise<Answer> {
  const response = await fetch(`${url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  const raw = await response.text();
  if (response.status !== 200) return { status: response.status, text: raw, finish: undefined, tokens: undefined };
  const isStream = body["stream"] === true;
  if (isStream && !raw.trimEnd().endsWith("data: [DONE]")) throw new Error(`the stream ended without [DONE]: ${raw.slice(-200)}`);
  const events = isStream ? raw.split("\n").filter((line) => line.startsWith("data: {")) : [`data: ${raw}`];
  let [text, finish, tokens] = ["", undefined as string | undefined, undefined as number | undefined];
  for (const event of events) {
    const { choices = [], usage, error } = JSON.parse(event.slice(6)) as Body;
    if (error !== undefined) throw new Error(`an error in the stream: ${error.message}`);
    for (const choice of choices) {
      text += choice.text ?? choice.message?.content ?? choice.delta?.content ?? "";
      finish = choice.finish_reason ?? finish;
    }
    tokens = usage?.completion_tokens ?? tokens;
  }
  return { status: 200, text, finish, tokens };
}

/** Mulberry32: which request comes when is not part of any result, only of how to see a failure again. */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}
