// What every story in a browser needs: a page that tells of each error, each foreign
// request and each breach of the policy, and an eye for who cannot see.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import axe from "axe-core";
import { chromium } from "playwright-core";

const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--force-color-profile=srgb", "--hide-scrollbars"];
export const patience = 30_000; // of the tests; a busy machine is slow

export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: flags });

/** A whole system: hub, headquarters, Stripe's sandbox. HUB names a built hub. */
export async function tryHub() {
  const dir = await mkdtemp(join(tmpdir(), "console-")), ready = join(dir, "ready.json");
  const hub = spawn(process.env.HUB, ["try", "--state-dir", join(dir, "state"), "--ready-file", ready], { stdio: ["ignore", "ignore", "inherit"] });
  const stop = async () => {
    if (hub.exitCode === null) {
      hub.kill("SIGTERM");
      await once(hub, "exit");
    }
    await rm(dir, { recursive: true, force: true });
  };
  for (let n = 0; n < 1200 && hub.exitCode === null; n++) {
    try {
      return { ...JSON.parse(await readFile(ready, "utf8")), pid: hub.pid, stop };
    } catch {
      await new Promise((r) => setTimeout(r, 50));
    }
  }
  await stop();
  throw new Error("hub try did not come up");
}

/** Does something to the system's cables, such as "internet/cut". */
export async function hand(shop, deed) {
  const answer = await fetch(`${shop.stripe_url}/_try/${deed}`, { method: "POST" });
  assert.equal(answer.status, 200, await answer.text());
}

/** A page that is watched. well() fails on whatever it did that no page may do. */
export async function open(context, url, { hosts = [new URL(url).host], allowed = [] } = {}) {
  const page = await context.newPage();
  page.setDefaultTimeout(patience);
  const said = [], foreign = [];
  let bytes = 0;
  page.on("console", (m) => { if (m.type() === "error" || m.type() === "warning") said.push(`${m.type()}: ${m.text()} ${m.location().url}`); });
  page.on("pageerror", (err) => said.push(String(err)));
  page.on("request", (r) => {
    const u = new URL(r.url());
    if (u.protocol !== "data:" && !hosts.includes(u.host)) foreign.push(r.url());
  });
  page.on("requestfinished", async (r) => { bytes += await r.sizes().then((s) => s.responseBodySize + s.responseHeadersSize, () => 0); });
  await page.addInitScript(() => document.addEventListener("securitypolicyviolation", (e) => console.error(`CSP: ${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`)));
  await page.goto(url);
  return {
    page,
    bytes: () => bytes,
    well() {
      assert.deepEqual(said.filter((line) => !allowed.some((a) => a.test(line))), [], "what the browser complained of");
      assert.deepEqual(foreign, [], "requests to other hosts");
    },
  };
}

/** Fails on whatever axe finds serious or critical. */
export async function accessible(page, name) {
  // By the debugger, which the page's policy does not hold back.
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  const grave = violations.filter((v) => v.impact === "serious" || v.impact === "critical")
    .map((v) => `${v.id}: ${v.help}: ${v.nodes.map((n) => n.html.slice(0, 160)).slice(0, 3).join(" | ")}`);
  assert.deepEqual(grave, [], `${name}: what axe finds grave`);
}

/** Text of the page does not run out of it. */
export async function fits(page, name) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(over <= 0, `${name}: the page is ${over} pixels wider than the window`);
}

/** Of the pages' names, which scroll sideways on a phone, the open one's is in sight. */
async function tellsWhereItIs(page, name) {
  await page.reload();
  await page.locator("h1").first().waitFor();
  const here = page.locator(".top nav [aria-current]");
  if (await here.count() === 0) return;
  const box = await here.boundingBox(), { width } = page.viewportSize();
  assert.ok(box.x >= 0 && box.x + box.width <= width, `${name}: its own name is at ${box.x} of ${width} pixels`);
}

/** Writes what the window shows, as WebP. */
export async function picture(page, file) {
  const lens = await page.context().newCDPSession(page);
  const { data } = await lens.send("Page.captureScreenshot", { format: "webp", quality: 70 });
  await writeFile(file, Buffer.from(data, "base64"));
}

/** The windows that pictures are made of: phone, till and wall, in light and dark. */
export const windows = ["light", "dark"].flatMap((scheme) => [[390, 844], [1280, 800], [2560, 1440]].map(([width, height]) =>
  ({ name: `${width}-${scheme}`, width, options: { colorScheme: scheme, reducedMotion: "reduce", viewport: { width, height } } })));

/** Opens each page, and has it looked at in light and dark, on a phone and on a wall. */
export async function eachIsWell(context, base, pages) {
  for (const path of pages) {
    const seen = await open(context, base + path);
    await seen.page.locator("h1").first().waitFor();
    for (const scheme of ["light", "dark"]) {
      await seen.page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
      await accessible(seen.page, `${path} ${scheme}`);
    }
    for (const width of [390, 1280, 2560]) {
      await seen.page.setViewportSize({ width, height: 900 });
      await fits(seen.page, `${path} at ${width}`);
      if (width === 390) await tellsWhereItIs(seen.page, path);
    }
    seen.well();
    await seen.page.close();
  }
}
