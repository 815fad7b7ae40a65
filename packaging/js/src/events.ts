import { pause, read, type Roads } from "./roads.js";
import { Refusal, type HubEvent, type Road } from "./types.js";

/** The stream says something every 15 s; three times that without a byte, and it is dead. */
const deafAfter = 45_000;
const retryFirst = 1_000;
const retryMost = 15_000;

/**
 * follow calls each with every event until the signal, or until a refusal, which it throws.
 * A stream that breaks is opened again from the last event seen. Hub and headquarters number
 * their events apart, so a change of road begins afresh: on events.open and events.gap ask for states.
 */
export async function follow(roads: Roads, path: string, each: (e: HubEvent, road: Road) => void, signal: AbortSignal): Promise<void> {
  const last: Partial<Record<Road, string>> = {};
  let wait = retryFirst;
  while (!signal.aborted) {
    try {
      const answer = await roads.call({
        method: "GET", path, headers: { Accept: "text/event-stream" }, stream: true, signal,
        resume: (road) => (last[road] === undefined ? {} : { "Last-Event-ID": last[road] }),
      });
      if (!answer.response.ok) read(answer);
      await lines(answer.response, signal, (e) => {
        wait = retryFirst;
        if (e.id !== "") last[answer.road] = e.id;
        each(e, answer.road);
      });
    } catch (err) {
      if (err instanceof Refusal) throw err;
    }
    if (!signal.aborted) await pause(wait / 2 + Math.random() * (wait / 2), signal).catch(() => {});
    wait = Math.min(2 * wait, retryMost);
  }
}

/** lines reads server-sent events until the stream ends or falls silent. */
async function lines(response: Response, signal: AbortSignal, each: (e: HubEvent) => void): Promise<void> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  const end = () => void reader.cancel().catch(() => {});
  let deaf = setTimeout(end, deafAfter);
  signal.addEventListener("abort", end, { once: true });
  try {
    let rest = "", e = { id: "", type: "message", data: "" };
    for (;;) {
      const { value, done } = await reader.read();
      if (done || signal.aborted) return;
      clearTimeout(deaf);
      deaf = setTimeout(end, deafAfter);
      const parts = (rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = parts.pop()!;
      for (const line of parts) {
        if (line === "") {
          if (e.data !== "") each({ ...e, data: JSON.parse(e.data.slice(0, -1)) });
          e = { id: "", type: "message", data: "" };
          continue;
        }
        const [, field, text] = /^([^:]*):? ?(.*)$/.exec(line)!;
        if (field === "id") e.id = text!;
        else if (field === "event") e.type = text!;
        else if (field === "data") e.data += text + "\n";
      }
    }
  } finally {
    clearTimeout(deaf);
    signal.removeEventListener("abort", end);
    end();
  }
}
