// Headquarters with stores that report, its console in front. HQCONSOLE names the built test
// of hq/console, which seeds and serves it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

export async function headquarters(stores) {
  const hq = spawn(process.env.HQCONSOLE, ["serve", String(stores)], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface(hq.stdout);
  const [line] = await Promise.race([once(lines, "line"), once(hq, "exit").then(() => { throw new Error("headquarters did not come up"); })]);
  return {
    ...JSON.parse(line),
    stop: async () => {
      hq.stdin.end();
      if (hq.exitCode === null) await once(hq, "exit");
    },
  };
}

/** Signs in by a one-time link. */
export async function enter(page, link) {
  await page.goto(link);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Fleet", exact: true }).waitFor();
}
