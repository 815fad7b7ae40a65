// The second vantage point in a real browser: what a page without rights can tell of hub
// and readers, and what it cannot. HUB names a built hub.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { after, before, test } from "node:test";
import { accessible, fits, launch, open, patience, tryHub } from "./harness.js";

// Readers on loopback: one that hangs up at once, one that says nothing, as behind a
// filter, and one that nobody is.
const hangsUp = "127.0.0.71", saysNothing = "127.0.0.72", nobody = "127.0.0.73";
let shop, browser, context, state, readers, seats, held = [];

const place = (reader, state) => fetch(`${shop.stripe_url}/_sandbox/readers`, { method: "POST", headers: { Authorization: `Bearer ${shop.stripe_key}` }, body: JSON.stringify({ reader, ...state }) })
  .then(async (a) => assert.ok(a.ok, await a.text()));

before(async () => {
  [shop, browser] = await Promise.all([tryHub(), launch()]);
  readers = [[hangsUp, (s) => s.destroy()], [saysNothing, (s) => { held.push(s); s.on("error", () => {}); }]].map(([host, meet]) => createServer(meet).listen(4443, host));
  await Promise.all(readers.map((r) => once(r, "listening")));
  context = await browser.newContext();
  const first = await open(context, shop.console_url);
  await first.page.locator("#sentence").waitFor();
  await first.page.close();
  state = await context.storageState();
  const list = await (await fetch(`${shop.hub_url}/v1/readers`, { headers: { Authorization: `Bearer ${shop.pos_credential}` } })).json();
  seats = list.readers.map((r) => r.id);
  for (const [n, address] of [hangsUp, saysNothing, nobody].entries()) await place(seats[n], { address, device: "stripe_s700" });
});

after(async () => {
  await browser?.close();
  held.forEach((s) => s.destroy());
  readers?.forEach((r) => r.close());
  await shop?.stop();
});

/** The page's address, as the QR code holds it, once the hub knows where the readers are. */
async function code() {
  const { page, well } = await open(context, shop.hub_url + "/console/network");
  for (const end = Date.now() + 2 * patience; ;) {
    assert.ok(Date.now() < end, "the hub does not learn where the readers are");
    await page.getByRole("button", { name: "Look from a till or phone" }).click();
    const url = await page.locator("#vantage-url").textContent();
    await page.getByRole("img", { name: /QR code/ }).waitFor();
    if (await page.getByText("3 readers").count()) {
      await accessible(page, "the code");
      well();
      await page.close();
      return url;
    }
    await page.goto(shop.hub_url + "/console/network");
  }
}

// A device of its own: nobody is signed in there. What the browser itself says of a reader
// that does not answer is all that it may say.
async function device(url, prepare = async () => {}) {
  const c = await browser.newContext({ viewport: { width: 390, height: 844 } });
  const blank = await c.newPage();
  const session = await c.newCDPSession(blank);
  const { targetInfo } = await session.send("Target.getTargetInfo");
  await prepare(async (setting) => {
    const whole = await browser.newBrowserCDPSession();
    for (const name of ["local-network-access", "local-network", "loopback-network"]) {
      await whole.send("Browser.setPermission", { permission: { name }, setting, browserContextId: targetInfo.browserContextId });
    }
  });
  await blank.close();
  const hosts = [new URL(shop.hub_url).host, ...[hangsUp, saysNothing, nobody].map((a) => `${a}:4443`)];
  const seen = await open(c, url, { hosts, allowed: [/net::ERR_/, /status of 403/] });
  return { ...seen, close: () => c.close() };
}

test("a browser that denies local network access is named, with the setting's path", async () => {
  const phone = await device(await code(), (permission) => permission("denied"));
  await phone.page.locator("#told", { hasText: "The hub knows now" }).waitFor();
  assert.equal(await phone.page.locator("#saw-permission").textContent(), "denied");
  await phone.page.locator("#denied:visible", { hasText: "chrome://settings/content/localNetwork" }).waitFor();
  assert.match(await phone.page.locator(`[id="saw-${hangsUp}"]`).textContent(), /blocked by this browser/);
  assert.match(await phone.page.locator("#saw-hub").textContent(), /answers \(\d+ ms\)/);
  await accessible(phone.page, "what a device sees, denied");
  await fits(phone.page, "what a device sees");
  phone.well();
  await phone.close();

  const network = await open(await browser.newContext({ storageState: state }), shop.hub_url + "/console/network");
  await network.page.locator("article", { hasText: "browser_lan_denied" }).getByText("A browser may not reach the shop's network").waitFor();
  await network.page.locator("#vantages").waitFor();
  await accessible(network.page, "network, with what a device saw");
  network.well();
  const answer = await fetch(`${shop.hub_url}/v1/diagnosis`, { headers: { Authorization: `Bearer ${shop.pos_credential}` } });
  const cause = (await answer.json()).causes.find((c) => c.code === "browser_lan_denied");
  assert.match(cause?.evidence.join("\n") ?? "", /from 127\.0\.0\.1 at .*denies Local Network Access/);
  await network.page.context().close();
});

test("what hangs up and what says nothing are told apart, the code works once, and the open page hears of it", async () => {
  const network = await open(await browser.newContext({ storageState: state }), shop.hub_url + "/console/network");
  const url = await code();
  const phone = await device(url, (permission) => permission("granted"));
  await phone.page.locator("#told", { hasText: "the hub's own machine" }).waitFor();
  assert.match(await phone.page.locator(`[id="saw-${hangsUp}"]`).textContent(), /does not tell which/);
  assert.match(await phone.page.locator(`[id="saw-${nobody}"]`).textContent(), /does not tell which/); // a refusal is the same to it
  assert.match(await phone.page.locator(`[id="saw-${saysNothing}"]`).textContent(), /nothing came back \(4\d\d\d ms\)/);
  assert.ok(await phone.page.locator("#denied").isHidden());
  await accessible(phone.page, "what a device sees");
  phone.well();
  await phone.page.goto(url);
  await phone.page.getByText("This code does not work").waitFor();
  await accessible(phone.page, "a code that was used");
  await phone.close();

  // Nobody reloads the network's page; the same device's earlier word is gone from it.
  await network.page.getByText("this is the hub's own machine").waitFor();
  assert.equal(await network.page.getByText("browser_lan_denied").count(), 0);
  network.well();
  await network.page.context().close();
});

test("a device on which nothing opens is told of by a person", async () => {
  const { page, well } = await open(context, shop.hub_url + "/console/network");
  await page.getByRole("button", { name: "Look from a till or phone" }).click();
  await page.getByRole("button", { name: "It does not open" }).click();
  await page.getByText("is not known without its address").waitFor();
  well();
  await page.close();
});
