// Records what the JavaScript clients send: `node record_javascript.mjs > javascript_requests.json`.
// Each version of @azure/communication-common is installed into a temporary folder, with @azure-rest/core-client,
// and makes real requests to a server here that keeps them as they arrive.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const VERSIONS = ["2.2.0", "2.3.0", "2.3.1", "2.4.0", "2.5.0"];
const KEY = createHash("sha256").update("a key for tests").digest("base64");
const IDS = [
  "plain-id", "with space", "a:b", "a:cancel", "a/b", "mixed:!('*)~/&", "#hash?mark", "quote'double\"", "tilde~bang!(round)*star",
  "plus+and&equals=semi;comma,", "at@dollar$[square]{curly}|pipe^caret`", "Zürich 東京 😀",
  "100%", "a%20b", "back\\slash", "%2F",
];

async function requests(folder, port) {
  const load = createRequire(join(folder, "package.json"));
  const { getClient } = load("@azure-rest/core-client");
  const { createCommunicationAuthPolicy, parseClientArguments } = load("@azure/communication-common");
  const { url, credential } = parseClientArguments(`endpoint=http://127.0.0.1:${port}/;accesskey=${KEY}`);
  const client = getClient(url, { allowInsecureConnection: true });
  client.pipeline.addPolicy(createCommunicationAuthPolicy(credential));
  const version = { "api-version": "2023-11-01" };
  for (const id of IDS) {
    await client.path("/routing/jobs/{jobId}", id).patch({
      contentType: "application/merge-patch+json",
      queryParameters: version,
      body: { channelId: id, labels: { Zürich: "東京" } },
    });
    await client.path("/routing/jobs/{jobId}:cancel", id).post({ queryParameters: version });
    await client.path("/routing/jobs").get({
      queryParameters: { ...version, queueId: id, channelId: id, scheduledBefore: new Date(0), maxpagesize: 7 },
    });
  }
  await client.path("/routing/jobs/{jobId}", "gone").delete({ queryParameters: version });
  await client.path("/routing/jobs").get();
}

const recorded = {};
let current;
const server = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const headers = {};
    for (const name of ["host", "x-ms-date", "x-ms-content-sha256", "authorization"]) headers[name] = request.headers[name];
    current.push({ method: request.method, target: request.url, headers, body: Buffer.concat(chunks).toString("utf8") });
    response.setHeader("content-type", "application/json");
    response.end('{"value": []}');
  });
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
for (const version of VERSIONS) {
  const folder = mkdtempSync(join(tmpdir(), "record-"));
  writeFileSync(join(folder, "package.json"), "{}");
  execFileSync("npm", ["install", "--silent", `@azure/communication-common@${version}`, "@azure-rest/core-client@2"], { cwd: folder });
  current = recorded[version] = [];
  await requests(folder, server.address().port);
  rmSync(folder, { recursive: true });
}
server.close();
const lines = Object.entries(recorded).map(
  ([version, list]) => `"${version}": [\n${list.map((request) => JSON.stringify(request)).join(",\n")}\n]`,
);
process.stdout.write(`{\n${lines.join(",\n")}\n}\n`);
process.exit(0);
