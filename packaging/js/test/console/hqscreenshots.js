// Makes the pictures of headquarters' console: `make screenshots`. HQCONSOLE names the built
// test of hq/console, OUT the folder they go to.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { launch, picture, windows } from "./harness.js";
import { enter, headquarters } from "./hq.js";

const out = process.env.OUT, only = process.env.ONLY?.split(",");
await mkdir(out, { recursive: true });
const [hq, browser] = await Promise.all([headquarters(3000), launch()]);
try {
  const first = await browser.newContext();
  await enter(await first.newPage(), hq.operator);
  const state = await first.storageState();
  for (const [name, path] of [["hq-fleet", "/console"], ["hq-store", "/console/stores/00007"], ["hq-waiting", "/console/findings"], ["hq-decide", "/console/findings/1"], ["hq-checklists", "/console/checklists"], ["hq-enrol", "/console/enrol"], ["hq-audit", "/console/audit"], ["hq-people", "/console/people"]]) {
    if (only && !only.includes(name)) continue;
    for (const w of windows) {
      const context = await browser.newContext({ storageState: state, ...w.options });
      const page = await context.newPage();
      await page.goto(hq.url + path);
      await page.locator("h1").first().waitFor();
      await page.waitForTimeout(150); // ages in words
      await picture(page, join(out, `${name}-${w.name}.webp`));
      await context.close();
    }
  }
} finally {
  await browser.close();
  await hq.stop();
}
