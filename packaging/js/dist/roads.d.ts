import { type Road } from "./types.js";
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
export declare const silentMessage = "Card payments are down: neither the store's hub nor headquarters answers.";
/** Roads sends each call by way of the hub, or of headquarters while the hub is dead. */
export declare class Roads {
    #private;
    readonly patience: number;
    constructor(o: RoadsOptions);
    /** The road that the next call takes first. */
    get road(): Road;
    /** Told each time the hub is found dead; what is unsettled is then offered to headquarters. */
    onDead: () => void;
    /**
     * call returns the first answer there is; Silence is thrown where there is none. A silent hub is still
     * listened to while headquarters is asked: it may be alive and waiting for headquarters itself.
     */
    call(c: Call): Promise<Answer>;
}
/** The body of an answer, or the refusal or silence that it means. */
export declare function read({ response, text }: Answer): unknown;
/** pause returns after ms, or throws when the signal comes first. */
export declare function pause(ms: number, signal?: AbortSignal): Promise<void>;
