import type { Wish } from "./types.js";
/** Where a till remembers what it has asked for; localStorage fits. */
export interface Keep {
    getItem(name: string): string | null;
    setItem(name: string, value: string): void;
}
/** A wish under its key, whose end this till has not seen. */
export interface Open {
    key: string;
    wish: Wish;
}
/** OpenWishes is what this till still wants to see the end of, kept across a reload where there is a place. */
export declare class OpenWishes {
    #private;
    constructor(keep?: Keep);
    add(key: string, wish: Wish): void;
    end(key: string): void;
    list(): Open[];
}
