// An agent's desk in a terminal, for Node.js 20 or later and nothing else: see offers, take one, finish it, go.
//
//     node examples/desk.mjs ada support          # worker and queue; then: take, done, break, back, quit
//
// Environment: ROUTER_ENDPOINT and ROUTER_ACCESS_KEY (default: the local router). Requests are signed as ACS wants it;
// the official client does the same behind client.path("/routing/...").
import { createHash, createHmac } from "node:crypto";
import { createInterface } from "node:readline/promises";

const endpoint = process.env.ROUTER_ENDPOINT ?? "http://localhost:7071";
const key = process.env.ROUTER_ACCESS_KEY ?? "riaetDPYYWeahqIrcCZOezIrKGzEDrgUGF4epxH7GR8=";
const [worker = "ada", queue = "support"] = process.argv.slice(2);

async function call(method, path, body) {
  const url = new URL(`${path}?api-version=2023-11-01`, endpoint);
  const content = body === undefined ? "" : JSON.stringify(body);
  const date = new Date().toUTCString();
  const hash = createHash("sha256").update(content).digest("base64");
  const text = `${method}\n${url.pathname}${url.search}\n${date};${url.host};${hash}`;
  const signature = createHmac("sha256", Buffer.from(key, "base64")).update(text).digest("base64");
  const response = await fetch(url, {
    method,
    body: content || undefined,
    headers: {
      "Content-Type": method === "PATCH" ? "application/merge-patch+json" : "application/json",
      "x-ms-date": date,
      "x-ms-content-sha256": hash,
      Authorization: `HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=${signature}`,
    },
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(`${response.status} ${answer.error?.message}`);
  return answer;
}

const me = `/routing/workers/${encodeURIComponent(worker)}`;
const available = (yes) => call("PATCH", me, { availableForOffers: yes });
const assignment = (one, action) =>
  call("POST", `/routing/jobs/${encodeURIComponent(one.jobId)}/assignments/${one.assignmentId}:${action}`, {});

const commands = {
  async take() {
    const [offer] = (await call("GET", me)).offers;
    if (!offer) return "There is no offer.";
    await call("POST", `${me}/offers/${offer.offerId}:accept`, {});
    return `You have ${offer.jobId}.`;
  },
  async done() {
    const [job] = (await call("GET", me)).assignedJobs;
    if (!job) return "You have no job.";
    await assignment(job, "complete");
    await assignment(job, "close");
    return `${job.jobId} is done.`;
  },
  break: async () => ((await available(false)), "No offers from now on."),
  back: async () => ((await available(true)), "You get offers again."),
};

await call("PATCH", "/routing/distributionPolicies/desk", { offerExpiresAfterSeconds: 60, mode: { kind: "longestIdle" } });
await call("PATCH", `/routing/queues/${encodeURIComponent(queue)}`, { distributionPolicyId: "desk" });
const channels = [{ channelId: "chat", capacityCostPerJob: 1 }];
await call("PATCH", me, { capacity: 1, queues: [queue], channels, availableForOffers: true });
const shown = new Set();
const look = setInterval(async () => {
  const offers = await call("GET", me).then((one) => one.offers, () => []);
  for (const offer of offers) {
    if (!shown.has(offer.offerId)) console.log(`An offer: ${offer.jobId} (take)`);
    shown.add(offer.offerId);
  }
}, 500);
console.log(`${worker} is at the desk of ${queue}: ${Object.keys(commands).join(", ")}, quit.`);
for await (const line of createInterface({ input: process.stdin })) {
  if (line.trim() === "quit") break;
  const command = Object.hasOwn(commands, line.trim()) ? commands[line.trim()] : async () => "What?";
  console.log(await command().catch((error) => error.message));
}
clearInterval(look);
await available(false);
process.exit(0);
