const name = "storehub.open";
/** OpenWishes is what this till still wants to see the end of, kept across a reload where there is a place. */
export class OpenWishes {
    #keep;
    #open = new Map();
    constructor(keep) {
        this.#keep = keep;
        const text = keep?.getItem(name);
        if (text)
            for (const o of JSON.parse(text))
                this.#open.set(o.key, o.wish);
    }
    add(key, wish) {
        this.#open.set(key, wish);
        this.#save();
    }
    end(key) {
        if (this.#open.delete(key))
            this.#save();
    }
    list() {
        return [...this.#open].map(([key, wish]) => ({ key, wish }));
    }
    #save() {
        this.#keep?.setItem(name, JSON.stringify(this.list()));
    }
}
