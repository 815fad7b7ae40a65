import { follow } from "./events.js";
import { OpenWishes } from "./open.js";
import { Roads, pause, read, silentMessage } from "./roads.js";
import { Refusal, Silence } from "./types.js";
export * from "./types.js";
const retryFirst = 500;
const retryMost = 8_000;
/** StoreHub is one till. */
export class StoreHub {
    #roads;
    #open;
    #life = new AbortController();
    #sending;
    constructor(o) {
        this.#roads = new Roads(o);
        this.#open = new OpenWishes(o.keep);
        this.#roads.onDead = () => void this.offerAgain(this.#life.signal).catch(() => { });
    }
    /** Ends what goes on by itself. What is unsettled stays so, for the next StoreHub with the same place to keep it. */
    close() {
        this.#life.abort();
    }
    /** The road that calls take now: headquarters while the hub was found dead. */
    get road() {
        return this.#roads.road;
    }
    /** What this till has asked for and has not seen the end of. */
    get unsettled() {
        return this.#open.list();
    }
    /**
     * The provider that Stripe's SDK wants: `StripeTerminal.create({ onFetchConnectionToken: hub.connectionToken })`.
     * One call is one request, and no token is kept: each works once.
     */
    connectionToken = async () => {
        const token = await this.#ask({ method: "POST", path: "/v1/connection_tokens" });
        return token.secret;
    };
    /** A new payment, to be confirmed at a reader and captured. */
    async createPayment(p) {
        const form = new URLSearchParams({ amount: String(p.amount), currency: p.currency });
        if (p.description !== undefined)
            form.set("description", p.description);
        return this.#ask({ method: "POST", path: "/create_payment_intent", body: form.toString(), headers: { "Content-Type": "application/x-www-form-urlencoded" } });
    }
    /** Has a reader collect the card for a payment; key is one per customer who is asked to pay. */
    async process(reader, intent, key) {
        return this.#ask(json(`/v1/readers/${encodeURIComponent(reader)}/process_payment_intent`, { payment_intent: intent }, key));
    }
    /** The shop's readers, as this till sees them. */
    async readers() {
        return (await this.#ask({ method: "GET", path: "/v1/readers" })).readers;
    }
    async status() {
        return this.#ask({ method: "GET", path: "/v1/status" });
    }
    /** Takes the money of an authorised payment: see {@link promise}. */
    capture(intent, m = {}) {
        const { amount, currency, order, attempt = 1, signal } = m;
        const wish = { kind: "capture", ref: intent };
        if (amount !== undefined)
            wish.amount = amount;
        if (currency !== undefined)
            wish.currency = currency;
        if (order !== undefined)
            wish.data = { order };
        return this.promise(`capture:${intent}:${amount ?? "full"}:${attempt}`, wish, signal);
    }
    /**
     * Returns once the wish is on the disk of the hub or of headquarters: from then on it will be done, once.
     * While nobody answers it asks again under the same key, by either road, until the signal. Throws Refusal
     * for a definite no.
     */
    async promise(key, wish, signal) {
        this.#open.add(key, wish);
        for (let wait = retryFirst;; wait = Math.min(2 * wait, retryMost)) {
            try {
                return this.#seen(key, await this.#ask(json("/v1/operations", wish, key, signal)));
            }
            catch (err) {
                if (err instanceof Refusal)
                    this.#open.end(key);
                if (!(err instanceof Silence) || signal?.aborted)
                    throw err;
                await pause(Math.max(wait / 2 + Math.random() * (wait / 2), 1000 * err.retryAfter), signal);
            }
        }
    }
    /** Waits for the end of what was promised: succeeded or failed. */
    async outcome(key, signal) {
        const wish = this.#open.list().find((o) => o.key === key)?.wish;
        if (wish === undefined)
            throw new RangeError(`nothing is open under the key "${key}"`);
        for (let wait = retryFirst;; wait = Math.min(2 * wait, retryMost)) {
            // Put again it is the same operation, at the hub and at headquarters, wherever it is by now.
            const op = await this.promise(key, wish, signal);
            if (final(op))
                return op;
            await pause(wait, signal);
        }
    }
    /** Puts everything unsettled again. Called by itself when the hub is found dead. */
    async offerAgain(signal) {
        this.#sending ??= (async () => {
            for (const o of this.#open.list())
                await this.promise(o.key, o.wish, signal).catch((err) => { if (!(err instanceof Refusal))
                    throw err; });
        })().finally(() => { this.#sending = undefined; });
        return this.#sending;
    }
    /** Every event until the signal; see docs/api.md. A stream that breaks goes on where it was. */
    events(each, signal) {
        return follow(this.#roads, "/v1/events", each, signal);
    }
    /**
     * Calls show with what a cashier should read, each time it changes, until the signal:
     * "" while all is well, "Card payments are down: the store's internet line is cut." when not.
     */
    async banner(show, signal) {
        let shown;
        const look = async () => {
            const text = await this.status().then((s) => (s.can_take_payments ? "" : s.operator_message), (err) => {
                if (err instanceof Refusal || err instanceof Silence)
                    return err.operatorMessage || silentMessage;
                throw err;
            });
            if (text !== shown && !signal.aborted)
                show((shown = text));
        };
        const following = this.events((e) => {
            if (e.type === "diagnosis.changed" || e.type.startsWith("events."))
                void look();
        }, signal);
        following.catch(() => { }); // awaited below
        // A dead hub sends no event.
        while (!signal.aborted) {
            await look();
            await pause(lookEvery, signal).catch(() => { });
        }
        await following;
    }
    async #ask(c) {
        return read(await this.#roads.call(c));
    }
    #seen(key, op) {
        if (final(op))
            this.#open.end(key);
        return op;
    }
}
/** Between two looks at the status beside the events. */
const lookEvery = 10_000;
function final(op) {
    return op.state === "succeeded" || op.state === "failed";
}
function json(path, body, key, signal) {
    return { method: "POST", path, body: JSON.stringify(body), headers: { "Content-Type": "application/json", "Idempotency-Key": key }, signal };
}
