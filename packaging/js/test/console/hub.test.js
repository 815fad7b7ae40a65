// The hub's console in a real browser, on a whole system. HUB names a built hub.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { accessible, eachIsWell, hand, launch, open, patience, tryHub } from "./harness.js";

const pages = ["/", "/console/network", "/console/readers", "/console/queue", "/console/tills", "/console/checklist", "/console/logs", "/console/staff", "/console/components"];
let shop, browser, context;

before(async () => {
  [shop, browser] = await Promise.all([tryHub(), launch()]);
  context = await browser.newContext({ acceptDownloads: true });
});

after(async () => {
  await browser?.close();
  await shop?.stop();
});

test("a one-time link lets in once, and every page is well", async () => {
  const first = await open(context, shop.console_url);
  await first.page.locator("#sentence", { hasText: "Card payments work." }).waitFor();
  const painted = await first.page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime);
  const sizes = await first.page.evaluate(() => performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation")).reduce((n, e) => n + e.encodedBodySize, 0));
  console.log(`first paint ${painted?.toFixed(0)} ms; ${(sizes / 1000).toFixed(1)} kB compressed`);
  assert.ok(sizes <= 150_000, `the first page is ${sizes} bytes`);
  first.well();
  await first.page.close();

  const stranger = await browser.newContext();
  const again = await open(stranger, shop.console_url, { allowed: [/status of 403/] });
  await again.page.getByText("This link was used already").waitFor();
  await accessible(again.page, "sign in");
  again.well();
  await stranger.close();

  await eachIsWell(context, shop.hub_url, pages);
});

test("the sentence changes within three seconds of the line's end, and back", async () => {
  const today = await open(context, shop.hub_url + "/");
  const staff = await open(context, shop.hub_url + "/console/staff?lang=de");
  await today.page.locator("#sentence", { hasText: "Card payments work." }).waitFor();
  const cut = Date.now();
  await hand(shop, "internet/cut");
  await today.page.locator(".sentence.bad").waitFor();
  const took = Date.now() - cut;
  console.log(`the sentence changed ${took} ms after the line was cut`);
  await staff.page.locator(".staff.bad").waitFor();
  assert.equal(await staff.page.locator("html").getAttribute("lang"), "de");
  await accessible(today.page, "today, cut");
  await accessible(staff.page, "staff, cut");
  // The network's page draws the break while the line is dead.
  const network = await open(context, shop.hub_url + "/console/network");
  await network.page.locator(".path .broken", { hasText: "Headquarters" }).waitFor();
  await accessible(network.page, "network, cut");
  await hand(shop, "internet/mend");
  await today.page.locator("#sentence", { hasText: "Card payments work." }).waitFor();
  for (const p of [today, staff, network]) {
    p.well();
    await p.page.close();
  }
  assert.ok(took <= 3000, `the sentence took ${took} ms`);
});

test("a page says that it is old when the hub is dead, and is new again after", async () => {
  // What the browser itself says of a dead hub is all that it may say.
  const { page, well } = await open(context, shop.hub_url + "/", { allowed: [/net::ERR_/] });
  await page.locator("#sentence").waitFor();
  await hand(shop, "hub/cut");
  await page.locator("#stale:visible", { hasText: /This page is \d+ seconds old/ }).waitFor();
  await accessible(page, "today, old");
  await hand(shop, "hub/mend");
  await page.locator("#stale").waitFor({ state: "hidden" });
  well();
  await page.close();
});

test("a manager's credential lets in", async () => {
  const stranger = await browser.newContext();
  const signed = await open(stranger, shop.hub_url + "/");
  await signed.page.getByLabel("A manager’s credential").fill(shop.pos_credential);
  await signed.page.getByRole("button", { name: "Sign in" }).click();
  await signed.page.locator("#sentence").waitFor();
  signed.well();
  await stranger.close();
});

test("a till is paired by the code that is shown once", async () => {
  const { page, well } = await open(context, shop.hub_url + "/console/tills");
  await page.getByRole("button", { name: "Pair a till" }).click();
  await accessible(page, "pairing");
  await page.getByLabel("Name").fill("Lane 7");
  await page.getByRole("dialog").getByRole("button", { name: "Pair", exact: true }).click();
  const url = await page.locator("#pos-url").textContent();
  await page.getByRole("img", { name: /QR code/ }).waitFor();
  await accessible(page, "paired");
  const answer = await fetch(`${url}/connection_token`, { method: "POST" });
  assert.equal(answer.status, 200, "the new till has its token");
  await page.getByRole("link", { name: "Done" }).click();
  await page.getByRole("row", { name: /Lane 7/ }).waitFor();
  assert.ok(!(await page.content()).includes(url), "the credential is shown again");

  await page.getByRole("button", { name: "Revoke Lane 7" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await page.getByRole("row", { name: /Lane 7.*revoked/ }).waitFor();
  assert.equal((await fetch(`${url}/connection_token`, { method: "POST" })).status, 401);
  well();
  await page.close();
});

test("a payment of the demo till is seen, and one that fails is settled by a person", async () => {
  const queue = await open(context, shop.hub_url + "/console/queue");
  const hosts = [shop.stripe_url, shop.hub_url, shop.hq_url].map((u) => new URL(u).host);
  const till = await open(context, `${shop.stripe_url}/_try/till/`, { hosts });
  await till.page.locator("#reader option", { hasText: "Lane 1" }).waitFor({ state: "attached" });
  await till.page.click("#charge");
  await till.page.locator("#capture:enabled").waitFor();
  await till.page.click("#capture");
  // Nobody reloads the queue's page: it hears of the payment.
  await queue.page.getByRole("row", { name: /capture.*succeeded.*Demo till/ }).first().waitFor();
  till.well();
  await till.page.close();

  const made = await fetch(`${shop.pos_url}/create_payment_intent`, { method: "POST", body: new URLSearchParams({ amount: 1250, currency: "eur" }) });
  const ref = (await made.json()).intent;
  for (const kind of ["cancel", "capture"]) {
    const answer = await fetch(`${shop.hub_url}/v1/operations`, {
      method: "POST", body: JSON.stringify({ kind, ref }),
      headers: { Authorization: `Bearer ${shop.pos_credential}`, "Content-Type": "application/json", "Idempotency-Key": `console-${kind}` },
    });
    assert.equal(answer.status, 202);
  }
  await queue.page.getByRole("row", { name: new RegExp(`capture.*failed.*${ref}`) }).getByRole("link").click();
  await accessible(queue.page, "a failed operation");
  await queue.page.getByLabel("Who").fill("Ada");
  await queue.page.getByLabel("What was done").fill("paid in cash");
  await queue.page.getByRole("button", { name: "Settle" }).click();
  await queue.page.getByText("resolve by Ada. paid in cash").waitFor();
  assert.equal(await queue.page.getByRole("button", { name: "Settle" }).count(), 0);
  queue.well();
  await queue.page.close();
});

test("what headquarters breaks on is held back, and goes through when a person has it offered again", async () => {
  const queue = await open(context, shop.hub_url + "/console/queue");
  const sell = async (key, amount) => {
    const made = await fetch(`${shop.pos_url}/create_payment_intent`, { method: "POST", body: new URLSearchParams({ amount, currency: "eur" }) });
    const ref = (await made.json()).intent;
    const promise = async () => {
      const answer = await fetch(`${shop.hub_url}/v1/operations`, {
        method: "POST", body: JSON.stringify({ kind: "order", ref, data: { order: key } }),
        headers: { Authorization: `Bearer ${shop.pos_credential}`, "Content-Type": "application/json", "Idempotency-Key": key },
      });
      assert.equal(answer.status, 202, await answer.text());
    };
    return { ref, promise };
  };
  const bad = await sell("held-back", 1300);
  await hand(shop, `hq/break?ref=${bad.ref}`);
  await bad.promise();
  // Others pass between its refusals: it is held back, and the page hears of it by itself.
  const held = queue.page.getByRole("row", { name: new RegExp(`held back.*${bad.ref}`) });
  for (let n = 0, end = Date.now() + patience; await held.count() === 0; n++) {
    assert.ok(Date.now() < end, "it is not held back");
    await (await sell(`passes-${n}`, 700)).promise();
    await held.waitFor({ timeout: 2000 }).catch(() => {});
  }
  await held.getByRole("link").click();
  await queue.page.getByRole("heading", { name: "Offer it again" }).waitFor();
  await queue.page.getByText("Held back: answered 500").waitFor();
  await accessible(queue.page, "an operation that is held back");
  await hand(shop, "hq/mend");
  await queue.page.getByLabel("Who").fill("Ada");
  await queue.page.getByLabel("Why").fill("the bug is mended");
  await queue.page.getByRole("button", { name: "Offer again" }).click();
  await queue.page.getByText("retry by Ada. the bug is mended").waitFor();
  await queue.page.locator(".badge", { hasText: "succeeded" }).first().waitFor();
  assert.equal(await queue.page.getByRole("button", { name: "Offer again" }).count(), 0);
  queue.well();
  await queue.page.close();
});

test("headquarters' console of the same system opens by its link", async () => {
  const theirs = await browser.newContext();
  const fleet = await open(theirs, shop.hq_console_url);
  await fleet.page.getByRole("button", { name: "Sign in" }).click();
  await fleet.page.getByText("Demo shop").first().waitFor();
  await accessible(fleet.page, "the fleet of one store");
  fleet.well();
  await theirs.close();
});

test("an item is signed off, and PDF, bundle and export are downloaded", async () => {
  const { page, well } = await open(context, shop.hub_url + "/console/checklist");
  const card = page.locator("article", { hasText: "Sign off" }).first();
  const id = await card.getAttribute("id");
  await card.getByRole("button", { name: /Sign off/ }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Who").fill("Ada");
  await dialog.getByLabel("What was looked at").fill("seen at every lane");
  await accessible(page, "sign off");
  await dialog.getByRole("button", { name: "Sign off" }).click();
  await page.locator(`#${id}`, { hasText: /signed off/ }).getByText("seen at every lane").first().waitFor();

  const save = async (path, link, magic) => {
    await page.goto(shop.hub_url + path);
    const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: link, exact: true }).click()]);
    const b = await readFile(await file.path());
    assert.equal(b.subarray(0, magic.length).toString("latin1"), magic, link);
    return b;
  };
  await save("/console/checklist", "PDF", "%PDF");
  const bundle = await save("/console/logs", "Download the bundle", "PK");
  assert.ok(!bundle.includes(shop.pos_credential));
  await save("/console/queue", "Export what is open", "{");
  well();
  await page.close();
});
