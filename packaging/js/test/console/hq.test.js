// Headquarters' console in a real browser, with ten thousand stores.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { accessible, eachIsWell, launch, open } from "./harness.js";
import { enter, headquarters } from "./hq.js";

const stores = 10_000;
const pages = ["/console", "/console?verdict=blocked", "/console/stores/00007", "/console/stores/00009", "/console/findings", "/console/findings/1", "/console/checklists", "/console/enrol", "/console/enrol?store=00007", "/console/audit", "/console/people"];
let hq, browser, context;

before(async () => {
  [hq, browser] = await Promise.all([headquarters(stores), launch()]);
  context = await browser.newContext();
});

after(async () => {
  await browser?.close();
  await hq?.stop();
});

const measured = (page) => page.evaluate(() => {
  const n = performance.getEntriesByType("navigation")[0];
  return {
    paint: Math.round(performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0), answered: Math.round(n.responseEnd - n.requestStart), page: n.encodedBodySize,
    all: performance.getEntriesByType("resource").reduce((sum, e) => sum + e.encodedBodySize, n.encodedBodySize), nodes: document.getElementsByTagName("*").length,
  };
});

test("a person comes in once, and sees ten thousand stores at a glance", async () => {
  const seen = await open(context, hq.operator);
  await enter(seen.page, hq.operator);
  await seen.page.getByRole("link", { name: "all 10,000" }).waitFor();
  await seen.page.reload();
  const first = await measured(seen.page);
  console.log(`first view of ${stores} stores: ${JSON.stringify(first)}`);
  assert.ok(first.nodes < 2500 && first.all < 150_000, "what a browser is given is bounded");

  await seen.page.getByLabel("Finding").selectOption("dns_down");
  await seen.page.getByRole("button", { name: "Show", exact: true }).click();
  await seen.page.getByRole("link", { name: "Show all" }).waitFor();
  console.log(`filtered: ${JSON.stringify(await measured(seen.page))}`);
  assert.equal(await seen.page.locator("tbody tr").count(), 100);
  for (const row of await seen.page.locator("tbody tr").all()) assert.match(await row.textContent(), /dns_down/);
  seen.well();
  await seen.page.close();

  const stranger = await browser.newContext();
  const again = await open(stranger, hq.operator, { allowed: [/status of 403/, /status of 401/] });
  await again.page.getByRole("button", { name: "Sign in" }).click();
  await again.page.getByText("This link does not open anything").waitFor();
  await accessible(again.page, "a link that was used");
  again.well();
  await stranger.close();
});

test("every page is well, in light and dark, on a phone and on a wall", async () => {
  await eachIsWell(context, hq.url, pages);
});

test("a person filters, opens a store, decides a twin charge and makes a code, by keyboard alone", async () => {
  const seen = await open(context, hq.url + "/console");
  const { page } = seen;
  await page.getByLabel("Store", { exact: true }).focus();
  await page.keyboard.type("00007");
  await page.keyboard.press("Enter");
  const store = page.getByRole("link", { name: "00007", exact: true });
  await store.focus();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: /00007 Market Square: blocked/ }).waitFor();
  await page.getByRole("heading", { name: "Other stores have this fault too" }).or(page.getByText("Other stores have this fault too")).first().waitFor();

  await page.getByRole("link", { name: "1", exact: true }).focus();
  await page.keyboard.press("Enter");
  const confirm = page.getByLabel("Confirm: refund 12.50 EUR of pi_twin, order 4711");
  await confirm.focus();
  await page.keyboard.press("Space");
  await page.getByLabel("Why").focus();
  await page.keyboard.type("charged twice, the customer called");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.getByText("pi_twin").waitFor({ state: "detached" });
  assert.match(page.url(), /\/console\/findings\?store=00007$/);
  await page.goto(hq.url + "/console/stores/00007");
  const made = page.locator("#operations + div tbody tr").first();
  assert.match(await made.textContent(), /refund.*accepted.*pi_twin.*12\.50 EUR.*headquarters/s);

  await page.goto(hq.url + "/console/enrol");
  await page.getByLabel("Id, yours to choose").fill("0412");
  await page.getByLabel("Terminal Location at Stripe").fill("tml_0412");
  await page.getByLabel("Mode").selectOption("test");
  await page.getByRole("button", { name: "Record, and make a code" }).press("Enter");
  const code = await page.locator(".secret").textContent();
  assert.match(code, /^[0-9A-Z]{4}(-[0-9A-Z]{4}){3}$/);
  await accessible(page, "the code");
  await page.goto(hq.url + "/console/audit");
  const acts = await page.locator("main").textContent();
  assert.match(acts, /Ada the operator.*store\.add.*0412/s);
  assert.match(acts, /Ada the operator.*finding\.confirmed.*the customer called/s);
  assert.doesNotMatch(acts, new RegExp(code));
  seen.well();
  await page.close();
});

test("an open page hears of what another person did, and says so when it hears nothing", async () => {
  const wall = await browser.newContext();
  const seen = await open(wall, hq.viewer, { allowed: [/ERR_CONNECTION|ERR_INCOMPLETE|net::ERR|status of 401/] });
  await enter(seen.page, hq.viewer);
  await seen.page.goto(hq.url + "/console/findings");
  const row = seen.page.getByText("pi_17: card_declined");
  await row.waitFor();
  const other = await open(context, hq.url + "/console/findings/2");
  await other.page.getByLabel(/^Dismiss/).check();
  await other.page.getByLabel("Why").fill("the customer paid cash");
  await other.page.getByRole("button", { name: "Decide" }).click();
  const began = Date.now();
  await row.waitFor({ state: "detached" });
  console.log(`another page showed it after ${Date.now() - began} ms`);
  other.well();
  await other.page.close();
  await seen.page.goto(hq.url + "/console/findings/3");
  await seen.page.getByText("You may look, and not decide.").waitFor();
  // Signed out everywhere by somebody else: the page that is open says so.
  const people = await open(context, hq.url + "/console/people");
  await people.page.getByRole("button", { name: "Sign out everywhere: Ada the viewer" }).click();
  await people.page.getByText("Ada the viewer").waitFor({ state: "detached" });
  await seen.page.getByText("You are not signed in.").waitFor();
  seen.well();
  people.well();
  await wall.close();
});
