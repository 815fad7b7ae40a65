import { type Roads } from "./roads.js";
import { type HubEvent, type Road } from "./types.js";
/**
 * follow calls each with every event until the signal, or until a refusal, which it throws.
 * A stream that breaks is opened again from the last event seen. Hub and headquarters number
 * their events apart, so a change of road begins afresh: on events.open and events.gap ask for states.
 */
export declare function follow(roads: Roads, path: string, each: (e: HubEvent, road: Road) => void, signal: AbortSignal): Promise<void>;
