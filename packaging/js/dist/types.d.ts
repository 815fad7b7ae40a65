/** What a till may promise: see docs/api.md, "What an operation may hold". */
export type Kind = "capture" | "cancel" | "refund" | "offline_payment" | "order" | "receipt" | "heartbeat";
/** An operation moves down this list only, but that a person may turn failed into succeeded. */
export type State = "pending" | "accepted" | "succeeded" | "failed";
/** A promise, as hub and headquarters show it. */
export interface Operation {
    id: string;
    kind: Kind;
    ref: string;
    amount?: number;
    currency?: string;
    till: string;
    mode: "live" | "test";
    created_at: string;
    state: State;
    reason?: string;
    message?: string;
    unknown?: {
        reason: string;
        next_look: string;
    };
    deadline?: string;
    result?: Record<string, unknown>;
    reversal?: Record<string, unknown>;
}
/** What is asked for. No amount means all of it; amounts are integers in minor units. */
export interface Wish {
    kind: Kind;
    ref: string;
    amount?: number;
    currency?: string;
    data?: Record<string, unknown>;
}
/** A reader as this till sees it. What is not known is null. */
export interface Reader {
    id: string;
    serial: string;
    label: string;
    device_type: string;
    state: string;
    lanes: string[];
    yours: boolean;
    same_network: boolean | null;
    advice?: string;
    [more: string]: unknown;
}
/** The store in one look. */
export interface Status {
    store: string;
    mode?: "live" | "test";
    verdict: "ready" | "degraded" | "blocked";
    can_take_payments: boolean;
    operator_message: string;
    [more: string]: unknown;
}
/** One server-sent event. */
export interface HubEvent {
    /** Its number; the road that it came by has numbers of its own. */
    id: string;
    type: string;
    data: unknown;
}
/** By which road an answer came. */
export type Road = "hub" | "headquarters";
/** A definite no. Asking again under the same key gives the same answer. */
export declare class Refusal extends Error {
    /** For ever the same for the same thing; docs/api.md has a heading for each. */
    readonly code: string;
    readonly status: number;
    /** What a cashier should read, in the language asked for. */
    readonly operatorMessage: string;
    /** What brings the sale on: retry, same_card, another_card, reader, manager, it, nothing. */
    readonly helps?: string | undefined;
    name: string;
    constructor(
    /** For ever the same for the same thing; docs/api.md has a heading for each. */
    code: string, status: number, message: string, 
    /** What a cashier should read, in the language asked for. */
    operatorMessage: string, 
    /** What brings the sale on: retry, same_card, another_card, reader, manager, it, nothing. */
    helps?: string | undefined);
}
/** Nobody knows. What was promised stays promised; ask again under the same key. */
export declare class Silence extends Error {
    /** What a cashier should read, where somebody said it. */
    readonly operatorMessage: string;
    /** Seconds that were asked for before the next try; 0: none. */
    readonly retryAfter: number;
    name: string;
    constructor(message: string, 
    /** What a cashier should read, where somebody said it. */
    operatorMessage: string, 
    /** Seconds that were asked for before the next try; 0: none. */
    retryAfter?: number);
}
