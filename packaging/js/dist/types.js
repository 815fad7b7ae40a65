/** A definite no. Asking again under the same key gives the same answer. */
export class Refusal extends Error {
    code;
    status;
    operatorMessage;
    helps;
    name = "Refusal";
    constructor(
    /** For ever the same for the same thing; docs/api.md has a heading for each. */
    code, status, message, 
    /** What a cashier should read, in the language asked for. */
    operatorMessage, 
    /** What brings the sale on: retry, same_card, another_card, reader, manager, it, nothing. */
    helps) {
        super(message);
        this.code = code;
        this.status = status;
        this.operatorMessage = operatorMessage;
        this.helps = helps;
    }
}
/** Nobody knows. What was promised stays promised; ask again under the same key. */
export class Silence extends Error {
    operatorMessage;
    retryAfter;
    name = "Silence";
    constructor(message, 
    /** What a cashier should read, where somebody said it. */
    operatorMessage, 
    /** Seconds that were asked for before the next try; 0: none. */
    retryAfter = 0) {
        super(message);
        this.operatorMessage = operatorMessage;
        this.retryAfter = retryAfter;
    }
}
