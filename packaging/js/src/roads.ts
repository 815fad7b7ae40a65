import { Refusal, Silence, type Road } from "./types.js";

/** How a till reaches the store's hub, and headquarters when the hub is dead. */
export interface RoadsOptions {
  /** The hub's address, without a credential: https://hub.example:7443 */
  hub: string;
  /** Headquarters' address, as `hub pair` shows it. Without it there is no second road. */
  headquarters?: string;
  /** The till's own credential, from `hub pair`. */
  credential: string;
  /** What the cashier reads, as in Accept-Language; absent: the shop's own. */
  language?: string;
  /** How long a silent hub is waited for before headquarters is asked, in ms. */
  patience?: number;
  /** For tests and old platforms. */
  fetch?: typeof fetch;
}

export interface Call {
  method: "GET" | "POST";
  path: string;
  headers?: Record<string, string>;
  /** Headers that differ by road. */
  resume?: (road: Road) => Record<string, string>;
  body?: string;
  /** The answer's body goes on for ever. */
  stream?: boolean;
  signal?: AbortSignal | undefined;
}

/** What came, by which road; text is the body, but of a stream. */
export interface Answer {
  road: Road;
  response: Response;
  text: string;
}

/** The contract: every answer is there within 8 s. */
const answered = 8_500;
/** A hub found dead is left alone that long; then one call looks whether it lives. */
const deadFor = 10_000;
/** Between two tries of a hub that refuses connections: it may just be starting anew. */
const knockEvery = 500;

export const silentMessage = "Card payments are down: neither the store's hub nor headquarters answers.";

/** Roads sends each call by way of the hub, or of headquarters while the hub is dead. */
export class Roads {
  readonly patience: number;
  readonly #o: RoadsOptions;
  #deadSince = -Infinity;

  constructor(o: RoadsOptions) {
    this.#o = o;
    this.patience = o.patience ?? 3_000;
    for (const url of [o.hub, o.headquarters]) {
      if (url !== undefined && !/^https?:\/\//.test(url)) throw new TypeError(`"${url}" is no http(s) address`);
    }
  }

  /** The road that the next call takes first. */
  get road(): Road {
    return this.#o.headquarters !== undefined && Date.now() - this.#deadSince < deadFor ? "headquarters" : "hub";
  }

  /** Told each time the hub is found dead; what is unsettled is then offered to headquarters. */
  onDead: () => void = () => {};

  /**
   * call returns the first answer there is; Silence is thrown where there is none. A silent hub is still
   * listened to while headquarters is asked: it may be alive and waiting for headquarters itself.
   */
  async call(c: Call): Promise<Answer> {
    if (this.#o.headquarters === undefined) return this.#send("hub", c);
    if (this.road === "headquarters") {
      try {
        return await this.#send("headquarters", c);
      } catch (err) {
        this.#deadSince = -Infinity; // both are silent: the hub alone can promise without the other
        throw err;
      }
    }
    const loser = { hub: new AbortController(), headquarters: new AbortController() };
    const linked = (road: Road) => ({ ...c, signal: either(c.signal, loser[road].signal) });
    const hub = this.#knock(linked("hub"));
    const headquarters = pause(this.patience, linked("headquarters").signal).then(() => this.#send("headquarters", linked("headquarters")));
    const first = await Promise.any([hub, headquarters]).catch((err: AggregateError) => { throw err.errors[0]; });
    loser[first.road === "hub" ? "headquarters" : "hub"].abort();
    if (first.road === "headquarters") {
      this.#deadSince = Date.now();
      this.onDead();
    }
    return first;
  }

  /** The hub's answer; one that refuses connections is tried again for as long as we are patient. */
  async #knock(c: Call): Promise<Answer> {
    for (const started = Date.now(); ; ) {
      try {
        return await this.#send("hub", c);
      } catch (err) {
        if (c.signal?.aborted || Date.now() - started + knockEvery >= this.patience) throw err;
        await pause(knockEvery, c.signal);
      }
    }
  }

  /** One try by one road. */
  async #send(road: Road, c: Call): Promise<Answer> {
    const base = road === "hub" ? this.#o.hub : this.#o.headquarters!;
    const headers: Record<string, string> = { Authorization: `Bearer ${this.#o.credential}`, ...c.headers, ...c.resume?.(road) };
    if (this.#o.language !== undefined) headers["Accept-Language"] = this.#o.language;
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), answered);
    try {
      const send = this.#o.fetch ?? fetch;
      // Never from a cache, no cookie, and no redirect that would carry the credential elsewhere.
      const response = await send(base.replace(/\/+$/, "") + c.path, {
        method: c.method, headers, signal: either(c.signal, limit.signal), cache: "no-store", credentials: "omit", redirect: "error",
        ...(c.body !== undefined && { body: c.body }),
      });
      return { road, response, text: c.stream && response.ok ? "" : await response.text() };
    } catch (err) {
      throw new Silence(`${road} did not answer: ${String(err)}`, silentMessage);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** A signal that ends with the first of both. */
function either(a: AbortSignal | undefined, b: AbortSignal): AbortSignal {
  if (a === undefined) return b;
  const both = new AbortController();
  for (const s of [a, b]) {
    if (s.aborted) both.abort(s.reason);
    else s.addEventListener("abort", () => both.abort(s.reason), { once: true, signal: both.signal });
  }
  return both.signal;
}

/** The body of an answer, or the refusal or silence that it means. */
export function read({ response, text }: Answer): unknown {
  if (response.ok) {
    try {
      return JSON.parse(text);
    } catch {
      throw new Silence("somebody else answered in the hub's place: a sign-in page, perhaps", silentMessage);
    }
  }
  let said: Record<string, string> = {};
  try {
    said = (JSON.parse(text) as { error?: Record<string, string> }).error ?? {};
  } catch {
    // The compatibility doors refuse with a sentence and a code beside it.
    said = { code: response.headers.get("Storehub-Code") ?? "", operator_message: text.trim().replace(/ \([^()]*\)$/, "") };
  }
  const code = said["code"] ?? "", message = `${response.status} ${code}: ${said["message"] ?? text.trim()}`;
  // Below 500 is a definite no, but for "too many": that is no answer to what was asked.
  const unsure = response.status >= 500 || response.status === 429 || code === "hq_unreachable" || code === "stripe_unreachable" || code === "rate_limited";
  if (unsure) throw new Silence(message, said["operator_message"] ?? "", Number(response.headers.get("Retry-After") ?? 0));
  throw new Refusal(code, response.status, message, said["operator_message"] ?? "", said["helps"]);
}

/** pause returns after ms, or throws when the signal comes first. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", end);
      resolve();
    }, ms);
    const end = () => {
      clearTimeout(timer);
      reject(signal!.reason as Error);
    };
    if (signal?.aborted) end();
    else signal?.addEventListener("abort", end, { once: true });
  });
}
