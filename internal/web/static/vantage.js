// What a till or phone sees of the hub and the readers, told to the hub once. A browser
// says little of a request that failed: what it does not say is told as not known.
(() => {
  "use strict";
  const at = document.getElementById("vantage");
  if (!at) return;
  const patience = 4000; // a reader on Wi-Fi that sleeps answers within two seconds
  const atOnce = 1000; // a refusal takes milliseconds; who cannot be found fails later

  const words = { answered: "answers", rejected: "something there answers, and refuses or is not trusted: the browser does not tell which", silent: "nothing came back", blocked: "blocked by this browser", unknown: "failed; why is not known" };
  const put = (id, text) => { document.getElementById(id).textContent = text; };

  // One permission in older browsers, several in newer ones; "" where there is none.
  async function permission() {
    const said = [];
    for (const name of ["local-network", "local-network-access"]) {
      try {
        said.push((await navigator.permissions.query({ name })).state);
      } catch {
        // This browser does not know it by that name.
      }
    }
    return said.includes("denied") ? "denied" : said[0] ?? "";
  }

  async function ask(url, options) {
    const stop = new AbortController(), began = performance.now();
    let late = false;
    const timer = setTimeout(() => { late = true; stop.abort(); }, patience);
    try {
      await fetch(url, { cache: "no-store", credentials: "omit", signal: stop.signal, ...options });
      return { ok: true, late: false, ms: Math.round(performance.now() - began) };
    } catch {
      return { ok: false, late, ms: Math.round(performance.now() - began) };
    } finally {
      clearTimeout(timer);
    }
  }

  async function reader(address, before) {
    let got = await ask(`https://${address}:${at.dataset.port}/`, { mode: "no-cors" });
    const now = await permission();
    if (got.late && before === "prompt" && now === "granted") got = await ask(`https://${address}:${at.dataset.port}/`, { mode: "no-cors" });
    let sight = "unknown";
    if (got.ok) sight = "answered";
    else if (now === "denied") sight = "blocked";
    else if (got.late) sight = "silent";
    else if (got.ms < atOnce) sight = "rejected";
    put(`saw-${address}`, `${words[sight]} (${got.ms} ms)`);
    return { address, sight, ms: got.ms };
  }

  async function look() {
    const hub = [];
    for (let n = 0; n < Number(at.dataset.tries); n++) {
      const got = await ask("/healthz", {});
      hub.push(got.ok ? got.ms : -1);
    }
    const best = Math.min(...hub.filter((ms) => ms >= 0));
    put("saw-hub", Number.isFinite(best) ? `answers (${best} ms)` : "does not answer");
    const before = await permission();
    const readers = await Promise.all(at.dataset.readers.split(" ").filter(Boolean).map((a) => reader(a, before)));
    const state = await permission();
    put("saw-permission", state === "" ? "this browser has none, or does not tell" : state);
    document.getElementById("denied").hidden = state !== "denied";
    const answer = await fetch("/console/vantage", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ code: at.dataset.code, permission: state, hub_ms: hub, readers }) });
    const body = await answer.json();
    put("told", answer.ok ? `The hub knows now: ${body.said}. You can close this page.` : `The hub did not take it: ${body.error.message}.`);
  }

  look().catch(() => put("told", "The hub could not be told. Make a new code and try again."));
})();
