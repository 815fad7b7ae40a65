import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { Refusal, Silence, StoreHub } from "../../dist/index.js";
import { operation, refusal, serve, until } from "./fake.js";

const patience = 600; // the default is 3 s
const tills = [];
const till = (hub, headquarters, more = {}) => tills[tills.push(new StoreHub({ hub: hub.url, ...(headquarters && { headquarters: headquarters.url }), credential: "shp_x", patience, ...more })) - 1];
afterEach(() => tills.splice(0).forEach((t) => t.close()));

test("each call of the provider is one request, and no token comes twice", async (t) => {
  let n = 0;
  const hub = await serve(t, () => [200, { secret: `pst_${++n}` }]);
  const { connectionToken } = till(hub); // as it is handed to Stripe's SDK, without its object
  assert.deepEqual([await connectionToken(), await connectionToken()], ["pst_1", "pst_2"]);
  assert.deepEqual(hub.asked.map((r) => [r.method, r.path, r.headers.authorization, r.body]), Array(2).fill(["POST", "/v1/connection_tokens", "Bearer shp_x", ""]));
});

test("a refusal is thrown with the cashier's sentence, and not tried again", async (t) => {
  const hub = await serve(t, () => [401, refusal("unauthorized", "This till is not paired.")]);
  const till1 = till(hub);
  await assert.rejects(till1.capture("pi_1"), (err) => err instanceof Refusal && err.code === "unauthorized" && err.operatorMessage === "This till is not paired.");
  assert.equal(hub.asked.length, 1);
  assert.deepEqual(till1.unsettled, []);
});

test("the compatibility door's plain text is read too", async (t) => {
  const hub = await serve(t, () => [402, "That amount is not possible. (invalid_amount: x)\n", { "Content-Type": "text/plain", "Storehub-Code": "invalid_amount" }]);
  await assert.rejects(till(hub).createPayment({ amount: 0, currency: "usd" }), { code: "invalid_amount", operatorMessage: "That amount is not possible." });
});

test("a capture is asked for again under the same key until somebody has it", async (t) => {
  const answers = [[503, refusal("internal")], [429, refusal("rate_limited"), { "Retry-After": "0" }], [200, "<html>sign in</html>"], [202, operation("k", "pending")]];
  const hub = await serve(t, () => answers.shift());
  const op = await till(hub).capture("pi_1", { amount: 1250, currency: "usd", order: "A-1" });
  assert.equal(op.state, "pending");
  assert.equal(hub.asked.length, 4);
  const [first] = hub.asked;
  assert.equal(first.headers["idempotency-key"], "capture:pi_1:1250:1");
  assert.deepEqual(JSON.parse(first.body), { kind: "capture", ref: "pi_1", amount: 1250, currency: "usd", data: { order: "A-1" } });
  for (const r of hub.asked) assert.deepEqual([r.headers["idempotency-key"], r.body], [first.headers["idempotency-key"], first.body]);
});

test("with the hub dead it goes by way of headquarters, the same key, and so does what is unsettled", async (t) => {
  const hub = await serve(t, (r) => [202, operation(r.headers["idempotency-key"], "pending")]);
  const hq = await serve(t, (r) => [202, operation(r.headers["idempotency-key"], "accepted")]);
  const till1 = till(hub, hq);
  await till1.capture("pi_1");
  assert.equal(hq.asked.length, 0);
  await hub.stop();
  const started = Date.now();
  assert.equal((await till1.capture("pi_2")).state, "accepted");
  assert.ok(Date.now() - started >= patience, "it waited for the hub");
  assert.equal(till1.road, "headquarters");
  await until(() => hq.asked.some((r) => r.headers["idempotency-key"] === "capture:pi_1:full:1"));
  assert.ok(hq.asked.some((r) => r.headers["idempotency-key"] === "capture:pi_2:full:1"));
});

test("a hub that hangs is given up for headquarters; one that answers late is still heard", async (t) => {
  const hub = await serve(t, () => undefined);
  const hq = await serve(t, () => [200, { secret: "pst_hq" }]);
  assert.equal(await till(hub, hq).connectionToken(), "pst_hq");

  const slow = await serve(t, async () => { await new Promise((r) => setTimeout(r, 2 * patience)); return [503, refusal("hq_unreachable", "Card payments are down: the internet line is cut.")]; });
  const gone = await serve(t, () => undefined);
  await gone.stop();
  await assert.rejects(till(slow, gone).connectionToken(), (err) => err instanceof Silence && err.operatorMessage === "Card payments are down: the internet line is cut.");
});

test("without a second road nobody answering is silence, not a no", async (t) => {
  const hub = await serve(t, () => [200, {}]);
  await hub.stop();
  await assert.rejects(till(hub).connectionToken(), Silence);
});

test("what is unsettled survives a reload and ends with its outcome", async (t) => {
  const states = ["pending", "accepted", "succeeded"];
  const hub = await serve(t, (r) => [202, operation(r.headers["idempotency-key"], states.shift() ?? "succeeded")]);
  const kept = new Map();
  const keep = { getItem: (k) => kept.get(k) ?? null, setItem: (k, v) => kept.set(k, v) };
  await till(hub, null, { keep }).capture("pi_1");
  const again = till(hub, null, { keep });
  assert.deepEqual(again.unsettled.map((o) => o.key), ["capture:pi_1:full:1"]);
  assert.equal((await again.outcome("capture:pi_1:full:1")).state, "succeeded");
  assert.deepEqual(again.unsettled, []);
  assert.equal(hub.asked.length, 3);
});

test("events resume after the last one seen, also when a line comes in pieces", async (t) => {
  const hub = await serve(t, (r, res) => {
    res.writeHead(200, { "Content-Type": "text/event-stream" });
    if (r.headers["last-event-id"] === undefined) {
      res.write(': hello\n\nid: 7\nevent: reader.changed\ndata: {"change":');
      setTimeout(() => res.end('"online"}\n\nid: 8\ndata: {"never"'), 20); // broken off
    } else {
      res.write('id: 8\nevent: operation.changed\ndata: {"state":"succeeded"}\n\n');
    }
  });
  const seen = [], end = new AbortController();
  const following = till(hub).events((e, road) => { seen.push([road, e.id, e.type, e.data]); if (seen.length === 2) end.abort(); }, end.signal);
  await following;
  assert.deepEqual(seen, [["hub", "7", "reader.changed", { change: "online" }], ["hub", "8", "operation.changed", { state: "succeeded" }]]);
  assert.deepEqual(hub.asked.map((r) => r.headers["last-event-id"]), [undefined, "7"]);
});

test("a stream that is refused ends with the refusal", async (t) => {
  const hub = await serve(t, () => [403, refusal("forbidden")]);
  await assert.rejects(till(hub).events(() => {}, new AbortController().signal), { code: "forbidden" });
});

test("the banner tells what a cashier should read, when it changes", async (t) => {
  let stream, status = { can_take_payments: true, operator_message: "" };
  const hub = await serve(t, (r, res) => {
    if (r.path === "/v1/status") return [200, status];
    res.writeHead(200, { "Content-Type": "text/event-stream" });
    res.write('id: 1\nevent: events.open\ndata: null\n\n');
    stream = res;
  });
  const shown = [], end = new AbortController();
  const showing = till(hub).banner((text) => shown.push(text), end.signal);
  await until(() => shown.length === 1 && stream !== undefined);
  status = { can_take_payments: false, operator_message: "Card payments are down: the internet line is cut." };
  stream.write('id: 2\nevent: diagnosis.changed\ndata: {}\n\n');
  await until(() => shown.length === 2);
  end.abort();
  await showing;
  assert.deepEqual(shown, ["", "Card payments are down: the internet line is cut."]);
});
