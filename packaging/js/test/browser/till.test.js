// The demo till in a real browser, beside a whole system: hub, headquarters, Stripe's sandbox.
// HUB names a built hub, CHROMIUM the browser.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const patience = 30_000; // of the tests; a busy machine is slow

let dir, hub, shop, browser;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), "till-"));
  const ready = join(dir, "ready.json");
  hub = spawn(process.env.HUB, ["try", "--state-dir", join(dir, "state"), "--ready-file", ready], { stdio: ["ignore", "ignore", "inherit"] });
  [shop, browser] = await Promise.all([
    written(ready),
    chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: flags }),
  ]);
});

after(async () => {
  await browser?.close();
  if (hub?.exitCode === null) {
    hub.kill("SIGTERM");
    await once(hub, "exit");
  }
  await rm(dir, { recursive: true, force: true });
});

async function written(file) {
  for (let n = 0; n < 600 && hub.exitCode === null; n++) {
    try {
      return JSON.parse(await readFile(file, "utf8"));
    } catch {
      await new Promise((r) => setTimeout(r, 50));
    }
  }
  throw new Error("hub try did not come up");
}

/** A page, with all that it said on the console and all that it asked for. */
async function open(url) {
  const page = await browser.newPage();
  page.setDefaultTimeout(patience);
  const said = [], asked = [];
  page.on("console", (m) => { if (m.type() === "error" || m.type() === "warning") said.push(`${m.type()}: ${m.text()} ${m.location().url}`); });
  page.on("pageerror", (err) => said.push(String(err)));
  page.on("request", (r) => asked.push(new URL(r.url())));
  await page.goto(url);
  return { page, said, asked, log: (text) => page.locator("#log li", { hasText: text }).first().waitFor() };
}

const hand = async (deed) => {
  const answer = await fetch(`${shop.stripe_url}/_try/${deed}`, { method: "POST" });
  assert.equal(answer.status, 200, await answer.text());
};

const money = async (intent) => {
  const answer = await fetch(`${shop.stripe_url}/v1/payment_intents/${intent}`, { headers: { Authorization: `Bearer ${shop.stripe_key}` } });
  const { status, amount_received } = await answer.json();
  return { status, amount_received };
};

test("a till of another origin sells by way of the hub, and of headquarters once the hub is dead", async () => {
  const { page, said, asked, log } = await open(`${shop.stripe_url}/_try/till/`);
  assert.notEqual(new URL(page.url()).origin, new URL(shop.hub_url).origin);
  await page.locator("#reader option", { hasText: "Lane 1" }).waitFor({ state: "attached" });

  await page.click("#token");
  await log("came by way of the hub");

  const sell = async () => {
    await page.click("#charge");
    await page.locator("#capture:enabled").waitFor();
    const line = await page.locator("#log li", { hasText: "The card was taken for" }).last().textContent();
    return /pi_\w+/.exec(line)[0];
  };
  const first = await sell();
  await page.click("#capture");
  await log(`${first}: succeeded`);
  assert.deepEqual(await money(first), { status: "succeeded", amount_received: 1250 });
  assert.deepEqual(said, [], "the console is silent while all is well");

  // The card was taken; the hub loses its power before the money is.
  const second = await sell();
  await hand("hub/cut");
  await page.click("#capture");
  await log("Promised by headquarters");
  await log(`${second}: succeeded`);
  assert.deepEqual(await money(second), { status: "succeeded", amount_received: 1250 });

  // What the browser itself says of a dead hub is all that it may say.
  for (const line of said) assert.match(line, /net::ERR_(CONNECTION_REFUSED|CONNECTION_RESET|EMPTY_RESPONSE|INCOMPLETE_CHUNKED_ENCODING|FAILED|ABORTED)/);
  const hosts = new Set(asked.filter((u) => u.protocol !== "data:").map((u) => u.host));
  assert.deepEqual(hosts, new Set([shop.stripe_url, shop.hub_url, shop.hq_url].map((u) => new URL(u).host)));

  await hand("hub/mend");
  await page.close();
});

test("the banner says that the line is cut, and when it is mended", async () => {
  const { page } = await open(`${shop.stripe_url}/_try/till/`);
  await hand("internet/cut");
  await page.locator("#banner:visible", { hasText: /Headquarters does not answer|Card payments are down/ }).waitFor();
  await hand("internet/mend");
  await page.locator("#banner").waitFor({ state: "hidden" });
  await page.close();
});

test("a page of an origin that nobody allowed gets nothing", async (t) => {
  const server = createServer((_, res) => { res.setHeader("Content-Type", "text/html"); res.end("<title>stranger</title>"); });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { page } = await open(`http://127.0.0.1:${server.address().port}/`);
  const attempt = (url, init) => page.evaluate(async ([url, init]) => {
    try {
      const answer = await fetch(url, init);
      return `${answer.status} ${await answer.text()}`;
    } catch (err) {
      return String(err);
    }
  }, [url, init]);
  const blocked = /TypeError: Failed to fetch/;
  const operations = async () => {
    const answer = await fetch(`${shop.hub_url}/v1/operations`, { headers: { Authorization: `Bearer ${shop.pos_credential}` } });
    return (await answer.json()).operations.length;
  };
  const before = await operations();
  assert.match(await attempt(`${shop.hub_url}/connection_token`, { method: "POST" }), blocked);
  // It does not help to know the credential: what a browser sends without asking is refused too.
  assert.match(await attempt(`${shop.pos_url}/connection_token`, { method: "POST" }), blocked);
  assert.match(await attempt(`${shop.pos_url}/capture_payment_intent`, { method: "POST", body: new URLSearchParams({ payment_intent_id: "pi_1" }).toString(), headers: { "Content-Type": "application/x-www-form-urlencoded" } }), blocked);
  assert.match(await attempt(`${shop.hub_url}/v1/status`, { headers: { Authorization: `Bearer ${shop.pos_credential}` } }), blocked);
  // Nor does the demo till tell it the credential.
  assert.match(await attempt(`${shop.stripe_url}/_try/till/shop.json`, {}), blocked);
  assert.equal(await operations(), before);
  await page.close();
});
