// Makes the pictures of headquarters' console: `make screenshots`. HQCONSOLE names the built
// test of hq/console, OUT the folder they go to.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { launch } from "./harness.js";
import { enter, headquarters } from "./hq.js";

const out = process.env.OUT, only = process.env.ONLY?.split(",");
const height = { 390: 844, 1280: 800, 2560: 1440 };
await mkdir(out, { recursive: true });
const [hq, browser] = await Promise.all([headquarters(3000), launch()]);
try {
  const first = await browser.newContext();
  await enter(await first.newPage(), hq.operator);
  const state = await first.storageState();
  for (const [name, path] of [["hq-fleet", "/console"], ["hq-store", "/console/stores/00007"], ["hq-waiting", "/console/findings"], ["hq-decide", "/console/findings/1"], ["hq-checklists", "/console/checklists"], ["hq-enrol", "/console/enrol"], ["hq-audit", "/console/audit"], ["hq-people", "/console/people"]]) {
    if (only && !only.includes(name)) continue;
    for (const scheme of ["light", "dark"]) for (const width of [390, 1280, 2560]) {
      const context = await browser.newContext({ storageState: state, colorScheme: scheme, reducedMotion: "reduce", viewport: { width, height: height[width] } });
      const page = await context.newPage();
      await page.goto(hq.url + path);
      await page.locator("h1").first().waitFor();
      await page.waitForTimeout(150); // ages in words
      await page.screenshot({ path: join(out, `${name}-${width}-${scheme}.png`) });
      await context.close();
    }
  }
} finally {
  await browser.close();
  await hq.stop();
}
