import { type Keep, type Open } from "./open.js";
import { type RoadsOptions } from "./roads.js";
import { type HubEvent, type Operation, type Reader, type Road, type Status, type Wish } from "./types.js";
export * from "./types.js";
export type { Keep, Open } from "./open.js";
export interface Options extends RoadsOptions {
    /** Where what is unsettled survives a reload, localStorage for instance. */
    keep?: Keep;
}
/** Of a payment, what a till has to say when it takes the money. */
export interface Money {
    /** Minor units; absent: all of it. */
    amount?: number;
    currency?: string;
    /** The shop's own name for the sale. */
    order?: string;
    /** Which try this is. Only after a final "failed" is a higher one another operation. */
    attempt?: number;
    signal?: AbortSignal;
}
export interface Intent {
    intent: string;
    secret: string;
}
/** StoreHub is one till. */
export declare class StoreHub {
    #private;
    constructor(o: Options);
    /** Ends what goes on by itself. What is unsettled stays so, for the next StoreHub with the same place to keep it. */
    close(): void;
    /** The road that calls take now: headquarters while the hub was found dead. */
    get road(): Road;
    /** What this till has asked for and has not seen the end of. */
    get unsettled(): Open[];
    /**
     * The provider that Stripe's SDK wants: `StripeTerminal.create({ onFetchConnectionToken: hub.connectionToken })`.
     * One call is one request, and no token is kept: each works once.
     */
    readonly connectionToken: () => Promise<string>;
    /** A new payment, to be confirmed at a reader and captured. */
    createPayment(p: {
        amount: number;
        currency: string;
        description?: string;
    }): Promise<Intent>;
    /** Has a reader collect the card for a payment; key is one per customer who is asked to pay. */
    process(reader: string, intent: string, key: string): Promise<Record<string, unknown>>;
    /** The shop's readers, as this till sees them. */
    readers(): Promise<Reader[]>;
    status(): Promise<Status>;
    /** Takes the money of an authorised payment: see {@link promise}. */
    capture(intent: string, m?: Money): Promise<Operation>;
    /**
     * Returns once the wish is on the disk of the hub or of headquarters: from then on it will be done, once.
     * While nobody answers it asks again under the same key, by either road, until the signal. Throws Refusal
     * for a definite no.
     */
    promise(key: string, wish: Wish, signal?: AbortSignal): Promise<Operation>;
    /** Waits for the end of what was promised: succeeded or failed. */
    outcome(key: string, signal?: AbortSignal): Promise<Operation>;
    /** Puts everything unsettled again. Called by itself when the hub is found dead. */
    offerAgain(signal?: AbortSignal): Promise<void>;
    /** Every event until the signal; see docs/api.md. A stream that breaks goes on where it was. */
    events(each: (e: HubEvent, road: Road) => void, signal: AbortSignal): Promise<void>;
    /**
     * Calls show with what a cashier should read, each time it changes, until the signal:
     * "" while all is well, "Card payments are down: the store's internet line is cut." when not.
     */
    banner(show: (text: string) => void, signal: AbortSignal): Promise<void>;
}
