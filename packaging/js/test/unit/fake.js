// A hub or a headquarters that the tests play: each answer is a function of the request.
import { createServer } from "node:http";

export async function serve(t, answer) {
  const asked = [];
  const server = createServer(async (req, res) => {
    let body = "";
    for await (const part of req) body += part;
    const r = { method: req.method, path: req.url, headers: req.headers, body };
    asked.push(r);
    const said = await answer(r, res);
    if (said === undefined) return; // it went its own way
    const [status, value, headers = {}] = said;
    res.writeHead(status, { "Content-Type": "application/json", ...headers });
    res.end(typeof value === "string" ? value : JSON.stringify(value));
  });
  await new Promise((up) => server.listen(0, "127.0.0.1", up));
  const stop = () => new Promise((done) => { server.close(done); server.closeAllConnections(); });
  t.after(stop);
  return { url: `http://127.0.0.1:${server.address().port}`, asked, stop, ended: () => asked.length };
}

export const refusal = (code, operator_message = "") => ({ error: { code, message: "m", operator_message } });

export const operation = (key, state) => ({ id: "op_" + key, kind: "capture", ref: "pi_1", till: "t", mode: "test", created_at: "2026-11-27T08:00:00Z", state });

export const until = async (true_) => {
  for (let n = 0; n < 1000 && !(await true_()); n++) await new Promise((r) => setTimeout(r, 10));
  if (!(await true_())) throw new Error("it never came to be: " + true_);
};
