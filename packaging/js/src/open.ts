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

const name = "storehub.open";

/** OpenWishes is what this till still wants to see the end of, kept across a reload where there is a place. */
export class OpenWishes {
  readonly #keep: Keep | undefined;
  readonly #open = new Map<string, Wish>();

  constructor(keep?: Keep) {
    this.#keep = keep;
    const text = keep?.getItem(name);
    if (text) for (const o of JSON.parse(text) as Open[]) this.#open.set(o.key, o.wish);
  }

  add(key: string, wish: Wish): void {
    this.#open.set(key, wish);
    this.#save();
  }

  end(key: string): void {
    if (this.#open.delete(key)) this.#save();
  }

  list(): Open[] {
    return [...this.#open].map(([key, wish]) => ({ key, wish }));
  }

  #save(): void {
    this.#keep?.setItem(name, JSON.stringify(this.list()));
  }
}
