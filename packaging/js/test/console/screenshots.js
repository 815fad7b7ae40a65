// Makes the pictures of README and docs: `make screenshots`. HUB names a built hub, OUT
// the folder they go to.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { hand, launch, picture, tryHub, windows } from "./harness.js";

const out = process.env.OUT;

await mkdir(out, { recursive: true });
const [shop, browser] = await Promise.all([tryHub(), launch()]);
try {
  const first = await browser.newContext();
  const page = await first.newPage();
  await page.goto(shop.console_url);
  const state = await first.storageState();

  // A morning's work: tills, payments, one of which fails.
  for (const [n, amount] of [1250, 4990, 899, 12000].entries()) {
    const intent = new URLSearchParams({ amount, currency: "eur" });
    const made = await (await fetch(`${shop.pos_url}/create_payment_intent`, { method: "POST", body: intent })).json();
    await ask({ kind: n % 2 ? "order" : "capture", ref: n % 2 ? `order-${1040 + n}` : made.intent, amount, currency: "eur" }, n);
  }
  async function ask(body, n) {
    await fetch(`${shop.hub_url}/v1/operations`, {
      method: "POST", body: JSON.stringify(body),
      headers: { Authorization: `Bearer ${shop.pos_credential}`, "Content-Type": "application/json", "Idempotency-Key": `picture-${n}` },
    });
  }

  const take = async (name, path, act, widest = 2560) => {
    for (const w of windows.filter((w) => w.width <= widest)) {
      const context = await browser.newContext({ storageState: state, ...w.options });
      const p = await context.newPage();
      await p.goto(shop.hub_url + path);
      await p.locator("h1").first().waitFor();
      await act?.(p);
      await p.waitForTimeout(150); // ages in words
      await picture(p, join(out, `${name}-${w.name}.webp`));
      await context.close();
    }
  };
  const showCode = async (p) => {
    await p.getByRole("button", { name: "Look from a till or phone" }).click();
    return await p.locator("#vantage-url").textContent();
  };
  const asPhone = async (p) => {
    await p.goto(await showCode(p));
    await p.locator("#told", { hasText: "The hub knows now" }).waitFor();
  };
  const only = process.env.ONLY?.split(",");
  const all = async (list) => { for (const [name, ...how] of list) if (!only || only.includes(name)) await take(name, ...how); };
  await page.waitForTimeout(3000); // outcomes come home
  await all([["today", "/"], ["network", "/console/network"], ["vantage-code", "/console/network", showCode, 1280], ["vantage", "/console/network", asPhone, 390], ["queue", "/console/queue"], ["tills", "/console/tills"], ["checklist", "/console/checklist"], ["readers", "/console/readers"], ["logs", "/console/logs"], ["staff", "/console/staff?lang=de"]]);
  await hand(shop, "internet/cut");
  await page.locator(".sentence.bad").waitFor();
  await ask({ kind: "capture", ref: "pi_waits_for_the_line", amount: 2450, currency: "eur" }, 99);
  await all([["today-cut", "/"], ["network-cut", "/console/network"], ["staff-cut", "/console/staff?lang=en"]]);
} finally {
  await browser.close();
  await shop.stop();
}
