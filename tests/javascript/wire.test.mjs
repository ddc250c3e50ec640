// What goes wrong in clients first: odd ids, queries that are signed otherwise than sent, paging, conditions, errors.
import { strict as assert } from "node:assert";
import { test } from "node:test";

import { clientFromEnvironment, createClient, ok, pages, paginate } from "./client.mjs";
import { ACTIONS, Desk, refused, ROUTES } from "./desk.mjs";

const desk = new Desk();
const ODD = [
  "with space", "#hash", "quest?ion", "100%", "%2F", "a%20b", "back\\slash", "quote'double\"", "tilde~bang!(round)*",
  "plus+and&equals=semi;comma,", "at@dollar$[square]{curly}|pipe^caret`", "Zürich 東京 😀", "a:b", "x:cancel", ":", "a/b", "/",
  "...", "<tag>", "e\u0301", "CaSe",
];

test("odd ids live through every call that has them in its path", async () => {
  await Promise.all(
    ODD.map(async (odd) => {
      const id = `${desk.run}${odd}`;
      const created = await desk.write("worker", id, { capacity: 1 });
      assert.equal(created.status, "201", `${id} ${JSON.stringify(created.body)}`);
      assert.equal(created.body.id, id);
      assert.equal(created.body.labels.Id, id);
      assert.equal((await ok(desk.read("worker", id))).id, id);
      assert.equal((await desk.write("worker", id, { capacity: 2 })).status, "200");
      assert.equal((await desk.remove("worker", id)).status, "204");
      await refused(desk.read("worker", id), 404, "NotFound");
    }),
  );
});

test("odd ids live through actions, queues and filters", async () => {
  const policy = await desk.make("distributionPolicy", { mode: { kind: "longestIdle" } });
  await Promise.all(
    ODD.map(async (odd) => {
      const id = `${desk.run}${odd}`;
      await desk.make("queue", { distributionPolicyId: policy }, id);
      await desk.make("job", { channelId: id, queueId: id }, id);
      assert.equal((await ok(desk.client.path(ACTIONS.statistics, id).get())).queueId, id);
      const queryParameters = { queueId: id, channelId: id, maxpagesize: 1 };
      const found = [];
      for await (const job of paginate(desk.client, desk.client.path("/routing/jobs").get({ queryParameters }))) found.push(job.id);
      assert.deepEqual(found, [id]);
      assert.deepEqual(await ok(desk.act("cancel", [id])), {});
      assert.equal((await desk.remove("job", id)).status, "204");
      assert.equal((await desk.remove("queue", id)).status, "204");
    }),
  );
});

test("odd assignment and offer ids are not found, and nothing worse", async () => {
  for (const odd of ODD) {
    await refused(desk.act("complete", ["none", odd]), 404, "NotFound");
    await refused(desk.act("accept", ["none", odd]), 404, "NotFound");
  }
});

test("an id is read with its case", async () => {
  const id = await desk.make("worker", { capacity: 1 }, `${desk.run}-Case`);
  await refused(desk.read("worker", id.toLowerCase()), 404, "NotFound");
});

test("pages are as long as asked, follow one another and end without a link", async () => {
  const queue = await desk.queue();
  const made = [];
  for (let number = 0; number < 7; number += 1) made.push(await desk.job({ queueId: queue }));
  const queryParameters = { queueId: queue, status: "Active", maxpagesize: 3 };
  await desk.until("job", made.at(-1), (body) => body.status === "queued");
  for (const id of made) await desk.until("job", id, (body) => body.status === "queued");
  const sizes = [];
  const found = [];
  for await (const page of pages(desk.client, desk.client.path("/routing/jobs").get({ queryParameters }))) {
    sizes.push(page.length);
    found.push(...page.map((job) => job.id));
  }
  assert.ok(sizes.every((size) => size <= 3), String(sizes));
  assert.deepEqual(found.sort(), made.sort());
});

test("filters", async () => {
  const queue = await desk.queue();
  const at = new Date(Date.now() + 3600_000);
  const scheduled = await desk.job({ queueId: queue, channelId: "chat", matchingMode: { kind: "scheduleAndSuspend", scheduleAt: at } });
  const queued = await desk.job({ queueId: queue });
  await desk.until("job", queued, (body) => body.status === "queued");
  await desk.until("job", scheduled, (body) => body.status === "scheduled");
  const jobs = async (filters) => {
    const found = [];
    const first = desk.client.path("/routing/jobs").get({ queryParameters: { queueId: queue, ...filters } });
    for await (const job of paginate(desk.client, first)) found.push(job.id);
    return found.sort();
  };
  assert.deepEqual(await jobs({ status: "queued" }), [queued]);
  assert.deepEqual(await jobs({ status: "all" }), [scheduled, queued].sort());
  assert.deepEqual(await jobs({ channelId: "chat" }), [scheduled]);
  assert.deepEqual(await jobs({ scheduledBefore: at }), [scheduled]);
  assert.deepEqual(await jobs({ scheduledAfter: at }), [scheduled]);
  assert.deepEqual(await jobs({ scheduledAfter: new Date(at.getTime() + 1000) }), []);
  assert.deepEqual(await jobs({ classificationPolicyId: "none" }), []);

  const worker = await desk.worker([queue], { channels: [{ channelId: "chat", capacityCostPerJob: 1 }] });
  const workers = async (filters) => {
    const found = [];
    const first = desk.client.path("/routing/workers").get({ queryParameters: { queueId: queue, ...filters } });
    for await (const one of paginate(desk.client, first)) found.push(one.id);
    return found;
  };
  assert.deepEqual(await workers({ state: "active", channelId: "chat", hasCapacity: true }), [worker]);
  assert.deepEqual(await workers({ state: "inactive" }), []);
  assert.deepEqual(await workers({ channelId: "voice" }), []);
  await refused(desk.client.path("/routing/jobs").get({ queryParameters: { status: "no such" } }), 400, "BadRequest");
});

test("queries with what JavaScript signs otherwise than it sends", async () => {
  for (const value of ["with space", "~!()*'", "Zürich 東京", "a+b&c=d", "%25"]) {
    const queryParameters = { queueId: value, channelId: value };
    assert.deepEqual((await ok(desk.client.path("/routing/jobs").get({ queryParameters }))).value, []);
  }
});

test("conditions", async () => {
  const id = await desk.make("worker", { capacity: 1 });
  const { etag } = await ok(desk.read("worker", id));
  assert.equal((await desk.write("worker", id, { capacity: 2 }, { "if-match": etag })).status, "200");
  await refused(desk.write("worker", id, { capacity: 3 }, { "if-match": etag }), 412, "ConditionNotMet");
  await refused(desk.write("worker", id, { capacity: 3 }, { "if-none-match": "*" }), 412, "ConditionNotMet");
  const before = new Date(Date.now() - 3600_000).toUTCString();
  await refused(desk.write("worker", id, { capacity: 3 }, { "if-unmodified-since": before }), 412, "ConditionNotMet");
  assert.equal((await ok(desk.read("worker", id))).capacity, 2);
});

test("what an error tells", async () => {
  const error = await refused(desk.write("worker", desk.id("worker"), { capacity: 0, labels: { a: {} }, channels: [{}] }), 400, "BadRequest");
  const targets = error.details.map((detail) => detail.target).sort();
  assert.deepEqual(targets, ["capacity", "channels[0].capacityCostPerJob", "channels[0].channelId", "labels.a"]);
  await assert.rejects(ok(desk.read("worker", "none")), (thrown) => {
    assert.equal(thrown.name, "RestError");
    assert.equal(thrown.statusCode, 404);
    assert.equal(thrown.code, "NotFound");
    return true;
  });
  const unsupported = desk.client.path(ROUTES.worker, "any").patch({ contentType: "text/plain", body: "{}" });
  await refused(unsupported, 415, "UnsupportedMediaType");
  await refused(desk.client.path("/routing/nothing").get(), 404, "NotFound");
});

test("another key, a key of another request", async () => {
  const endpoint = (process.env.ROUTER_CONNECTION_STRING?.match(/endpoint=([^;]+)/)?.[1] ?? process.env.ROUTER_ENDPOINT).replace(/\/$/, "");
  const stranger = createClient(endpoint, { key: Buffer.alloc(32, 1).toString("base64") });
  const response = await stranger.path("/routing/jobs").get();
  assert.equal(response.status, "401");
  assert.match(response.headers["www-authenticate"], /HMAC-SHA256/);
});

test("the version: none, unknown", async () => {
  const none = clientFromEnvironment({ apiVersion: "" });
  await refused(none.path("/routing/jobs").get(), 400, "MissingApiVersionParameter");
  const unknown = clientFromEnvironment({ apiVersion: "2020-01-01" });
  const error = await refused(unknown.path("/routing/jobs").get(), 400, "UnsupportedApiVersionValue");
  assert.match(error.message, /2023-11-01, 2024-01-18-preview/);
});
