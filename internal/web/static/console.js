// What an open page does by itself: it hears news and asks for itself again, says when it
// is old, keeps "3 min ago" true, and opens dialogs. Without it every page still works.
(() => {
  "use strict";
  const silent = 15_000; // three beats of the stream
  let heard = Date.now(), stream, wanted = false, asking = false;

  const page = () => document.getElementById("page");

  // A person who types or reads a dialog is not disturbed; the page asks when they are done.
  const busy = () => {
    const a = document.activeElement;
    return document.querySelector("dialog[open]") !== null ||
      (a !== null && a.matches("input:not([type=checkbox]):not([type=radio]), textarea, select") && a.closest("form:not([data-live-form])") !== null && page().contains(a));
  };

  async function refresh() {
    wanted = true;
    if (asking || document.hidden || busy()) return;
    asking = true;
    wanted = false;
    try {
      const answer = await fetch(location.href, { headers: { "X-Live": "1" }, redirect: "follow" });
      if (answer.status === 401) { location.reload(); return; }
      if (!answer.ok) return;
      await htmx.swap({ sourceElement: page(), target: page(), text: await answer.text(), swap: "outerMorph", select: "#page" });
      heard = Date.now();
      tick();
    } catch {
      // The stream's silence says it.
    } finally {
      asking = false;
    }
  }

  function listen() {
    const url = page()?.dataset.live;
    if (!url) return;
    stream?.close();
    stream = new EventSource(url);
    const hear = () => { heard = Date.now(); stale(); };
    stream.addEventListener("beat", hear);
    stream.addEventListener("change", () => { hear(); refresh(); });
  }

  const units = [["second", 60], ["minute", 60], ["hour", 24], ["day", 1e9]];
  function span(ms) {
    let n = Math.max(0, Math.round(ms / 1000));
    for (const [name, size] of units) {
      if (n < size) return `${n} ${name}${n === 1 ? "" : "s"}`;
      n = Math.floor(n / size);
    }
  }

  function stale() {
    const bar = document.getElementById("stale"), age = Date.now() - heard;
    const old = Boolean(page()?.dataset.live) && age > silent;
    if (old) document.getElementById("stale-words").textContent = `This page is ${span(age)} old: it does not hear from where it came from.`;
    bar.hidden = !old;
  }

  function tick() {
    for (const t of document.querySelectorAll("time[data-ago]")) {
      const at = Date.parse(t.dateTime), words = span(Date.now() - at) + " ago";
      if (!Number.isNaN(at) && t.textContent !== words) t.textContent = words;
    }
    stale();
    if (wanted) refresh();
  }

  document.addEventListener("click", (e) => {
    const opener = e.target.closest("[data-opens]");
    if (opener) { document.getElementById(opener.dataset.opens)?.showModal(); return; }
    const closer = e.target.closest("[data-closes]");
    if (closer) { e.preventDefault(); closer.closest("dialog")?.close(); return; }
    const printer = e.target.closest("[data-prints]");
    if (printer) window.print();
  });

  // A slider over time says where it stands, and goes there when it is let go.
  document.addEventListener("input", (e) => {
    const to = e.target.dataset?.clock;
    if (to) document.getElementById(to).textContent = new Date(e.target.value * 1000).toLocaleString([], { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
  });
  document.addEventListener("change", (e) => {
    if (e.target.dataset?.clock || e.target.matches("[data-submits]")) e.target.form.requestSubmit();
  });

  // What htmx asks for carries the session's word, as forms do.
  document.addEventListener("htmx:config:request", (e) => {
    const word = document.body.dataset.csrf;
    if (word && e.detail?.ctx?.request?.headers) e.detail.ctx.request.headers["X-CSRF-Token"] = word;
  });

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    if (stream?.readyState === EventSource.CLOSED) listen();
    if (wanted) refresh();
  });
  // The stream of a page that is left is closed, so that the next one's is not in a queue.
  window.addEventListener("pagehide", () => stream?.close());
  window.addEventListener("pageshow", (e) => { if (e.persisted) { listen(); refresh(); } });

  // On a phone the pages' names scroll sideways: the one that is open is in sight.
  document.querySelector(".top nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

  listen();
  tick();
  setInterval(tick, 1000);
  // A stream that ended for good (signed out, restarted) is tried again.
  setInterval(() => { if (stream?.readyState === EventSource.CLOSED && !document.hidden) { listen(); refresh(); } }, 3000);
})();
