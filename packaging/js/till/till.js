// A till in a page. What it does with money, it does by the client.
import { StoreHub } from "./client/index.js";

const $ = (id) => document.getElementById(id);
const say = (text) => {
  const line = document.createElement("li");
  line.textContent = text;
  $("log").append(line);
};

const shop = await (await fetch("shop.json")).json();
const hub = new StoreHub({ ...shop, keep: localStorage });
const page = new AbortController();
let intent;

// Whatever goes wrong is told in the words that were meant for a cashier.
const doing = (step) => async (event) => {
  event?.preventDefault();
  try {
    await step();
  } catch (err) {
    say(err.operatorMessage || String(err));
  }
};

const showReaders = async () => {
  const chosen = $("reader").value;
  $("reader").replaceChildren(...(await hub.readers()).map((r) => new Option(`${r.label} (${r.state})`, r.id, false, r.id === chosen)));
};

$("token").onclick = doing(async () => {
  const token = await hub.connectionToken(); // Stripe's SDK calls this by itself
  say(`A token of ${token.length} characters came by way of ${hub.road === "hub" ? "the hub" : "headquarters"}.`);
});

$("sale").onsubmit = doing(async () => {
  const made = await hub.createPayment({ amount: Number($("amount").value), currency: "usd", description: "Demo" });
  await hub.process($("reader").value, made.intent, `ask-${made.intent}`);
  await present($("reader").value);
  intent = made.intent;
  $("capture").disabled = false;
  say(`The card was taken for ${intent}.`);
});

$("capture").onclick = doing(async () => {
  $("capture").disabled = true;
  const op = await hub.capture(intent);
  say(`Promised by ${hub.road === "hub" ? "the hub" : "headquarters"}: ${op.state}.`);
  const end = op.state === "succeeded" || op.state === "failed" ? op : await hub.outcome(`capture:${intent}:full:1`);
  say(`${intent}: ${end.state}.`);
});

// A simulated reader has nobody who taps a card.
async function present(reader) {
  const answer = await fetch(shop.hub + "/server-driven/simulate-payment", {
    method: "POST", body: JSON.stringify({ reader_id: reader }),
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${shop.credential}` },
  });
  if (!answer.ok) throw new Error((await answer.json()).error.message);
}

await doing(showReaders)();
say("Ready.");
hub.events((e) => { if (e.type === "reader.changed") void doing(showReaders)(); }, page.signal).catch(say);
hub.banner((text) => {
  $("banner").textContent = text;
  $("banner").hidden = text === "";
}, page.signal).catch(say);
