// Every kind of model goes out and comes back as it was sent, and every kind of refusal is the error that the client throws.
import { strict as assert } from "node:assert";
import { test } from "node:test";

import { createClient, ok } from "./client.mjs";
import { Desk, refused } from "./desk.mjs";

const desk = new Desk();
const queueSelector = { key: "Region", labelOperator: "equal", value: "NA" };
const workerSelector = { key: "Skill", labelOperator: "greaterThan", value: 3, expiresAfterSeconds: 30 };

/** Everything that was sent is there; defaults may stand beside it. */
function contains(found, sent, at = "") {
  if (sent === null || typeof sent !== "object") return assert.deepEqual(found, sent, at);
  assert.equal(Array.isArray(found), Array.isArray(sent), at);
  if (Array.isArray(sent)) assert.equal(found.length, sent.length, at);
  for (const [name, value] of Object.entries(sent)) contains(found?.[name], value, `${at}.${name}`);
}

/** What a client reads after it has written this. */
async function comesBack(kind, body) {
  const id = await desk.make(kind, body);
  const found = await ok(desk.read(kind, id));
  contains(found, body, kind);
  return found;
}

const MODES = [
  { kind: "longestIdle", minConcurrentOffers: 2, maxConcurrentOffers: 5, bypassSelectors: true },
  { kind: "roundRobin" },
  { kind: "bestWorker" },
  {
    kind: "bestWorker",
    scoringRule: { kind: "expression", language: "powerFx", expression: "If(worker.Vip = true, 10, 1)" },
    scoringRuleOptions: {
      batchSize: 5,
      scoringParameters: ["workerSelectors"],
      isBatchScoringEnabled: true,
      descendingOrder: false,
    },
  },
];

for (const mode of MODES) {
  test(`mode: ${JSON.stringify(mode).slice(0, 60)}`, async () => {
    const found = await comesBack("distributionPolicy", { name: "n", offerExpiresAfterSeconds: 17.5, mode });
    const defaults = { minConcurrentOffers: 1, maxConcurrentOffers: 1, bypassSelectors: false };
    contains(found.mode, { ...defaults, ...mode });
  });
}

test("another kind leaves nothing of the mode before it", async () => {
  const id = await desk.make("distributionPolicy", { mode: MODES[3] });
  const changed = await ok(desk.write("distributionPolicy", id, { mode: { kind: "roundRobin" } }));
  const defaults = { minConcurrentOffers: 1, maxConcurrentOffers: 1, bypassSelectors: false };
  assert.deepEqual(changed.mode, { kind: "roundRobin", ...defaults });
});

const RULES = [
  { kind: "static", value: 5 },
  { kind: "static", value: { Kind: "x", nested: { KEY: 1, list: [1, null, { LabelOperator: "b" }] } } },
  { kind: "directMap" },
  { kind: "expression", expression: "If(job.Vip = true, 10, 1)" },
  { kind: "function", functionUri: "https://rules.example/api/score", credential: { clientId: "c" } },
  {
    kind: "webhook",
    webhookUri: "https://rules.example/hook",
    authorizationServerUri: "https://login.example/token",
    clientCredential: { clientId: "me" },
  },
];

for (const rule of RULES) {
  test(`rule: ${JSON.stringify(rule).slice(0, 60)}`, async () => {
    const found = await comesBack("classificationPolicy", { prioritizationRule: rule });
    if (rule.kind === "static") assert.deepEqual(found.prioritizationRule, rule);
    if (rule.kind === "expression") assert.equal(found.prioritizationRule.language, "powerFx");
  });
}

test("secrets of rules do not come back in the clear", async () => {
  const secrets = [
    { kind: "function", functionUri: "https://rules.example", credential: { functionKey: "a secret", appKey: "a secret" } },
    { kind: "webhook", webhookUri: "https://rules.example", clientCredential: { clientId: "c", clientSecret: "a secret" } },
  ];
  for (const rule of secrets) {
    const id = await desk.make("classificationPolicy", { prioritizationRule: rule });
    const found = await ok(desk.read("classificationPolicy", id));
    assert.ok(!JSON.stringify(found).includes("a secret"));
    // What a client reads it may write back.
    assert.equal((await ok(desk.write("classificationPolicy", id, found))).etag, found.etag);
  }
});

test("attachments of every kind", async () => {
  const rule = { kind: "static", value: [] };
  const condition = { kind: "expression", language: "powerFx", expression: "job.Urgent = true" };
  const found = await comesBack("classificationPolicy", {
    name: "all",
    fallbackQueueId: await desk.queue(),
    queueSelectorAttachments: [
      { kind: "static", queueSelector },
      { kind: "conditional", condition, queueSelectors: [queueSelector] },
      { kind: "passThrough", key: "Region", labelOperator: "equal" },
      { kind: "ruleEngine", rule },
      {
        kind: "weightedAllocation",
        allocations: [{ weight: 0.3, queueSelectors: [queueSelector] }, { weight: 0.7, queueSelectors: [] }],
      },
    ],
    workerSelectorAttachments: [
      { kind: "static", workerSelector },
      { kind: "conditional", condition, workerSelectors: [workerSelector] },
      { kind: "passThrough", key: "Skill", labelOperator: "greaterThanOrEqual", expiresAfterSeconds: 10 },
      { kind: "ruleEngine", rule },
      { kind: "weightedAllocation", allocations: [{ weight: 1, workerSelectors: [workerSelector] }] },
    ],
  });
  const [{ workerSelector: selector }] = found.workerSelectorAttachments;
  assert.deepEqual(selector, { ...workerSelector, expedite: false, status: "active" });
});

test("triggers and actions of every kind", async () => {
  const [queueId, classificationPolicyId] = [await desk.queue(), await desk.make("classificationPolicy", {})];
  const found = await comesBack("exceptionPolicy", {
    name: "all",
    exceptionRules: [
      {
        id: "long",
        trigger: { kind: "queueLength", threshold: 10 },
        actions: [
          { kind: "manualReclassify", queueId, priority: 10, workerSelectors: [workerSelector] },
          { kind: "manualReclassify" },
        ],
      },
      {
        id: "late",
        trigger: { kind: "waitTime", thresholdSeconds: 1.5 },
        actions: [
          { kind: "reclassify", classificationPolicyId, labelsToUpsert: { Escalated: true } },
          { kind: "cancel", note: "too late", dispositionCode: "Late" },
        ],
      },
    ],
  });
  const ids = found.exceptionRules.flatMap((rule) => rule.actions.map((action) => action.id));
  assert.equal(new Set(ids).size, 4);
  assert.ok(ids.every((id) => /^[0-9a-f-]{36}$/.test(id)));
  assert.deepEqual(found.exceptionRules[0].actions[1].workerSelectors, []);
});

test("a job with everything, in every matching mode", async () => {
  const operators = ["equal", "notEqual", "lessThan", "lessThanOrEqual", "greaterThan", "greaterThanOrEqual"];
  const values = ["text", 5, 2.5, true];
  const selectors = operators.flatMap((labelOperator) =>
    values.map((value) => ({ key: `${labelOperator} ${value}`, labelOperator, value, expiresAfterSeconds: 90, expedite: true })),
  );
  const body = {
    channelReference: "ref",
    channelId: "voice",
    queueId: await desk.queue(),
    priority: -5,
    dispositionCode: "code",
    requestedWorkerSelectors: selectors,
    labels: { s: "x", i: 1, f: 1.5, b: true },
    tags: { s: "x", i: 1, f: 1.5, b: false },
    notes: [{ message: "n", addedAt: "2020-01-02T03:04:05.678+00:00" }],
  };
  const at = new Date(Date.now() + 3600_000);
  const modes = [
    [{ kind: "queueAndMatch" }, ["created", "queued"]],
    [{ kind: "scheduleAndSuspend", scheduleAt: at.toISOString().replace(/\.?0*Z$/, "+00:00") }, ["pendingSchedule", "scheduled"]],
    [{ kind: "suspend" }, ["waitingForActivation"]],
  ];
  for (const [matchingMode, statuses] of modes) {
    const found = await comesBack("job", { ...body, matchingMode });
    assert.ok(statuses.includes(found.status), found.status);
    assert.deepEqual(found.matchingMode, matchingMode);
    assert.ok(found.requestedWorkerSelectors.every((selector) => selector.status === "active"));
    assert.deepEqual([found.labels, found.assignments, found.attachedWorkerSelectors], [body.labels, {}, []]);
    assert.ok(!("scheduledAt" in found));
  }
});

test("a worker with everything", async () => {
  const body = {
    queues: [await desk.queue()],
    capacity: 100,
    labels: { s: "x", i: 1, f: 1.5, b: true },
    tags: { s: "x" },
    channels: [
      { channelId: "voice", capacityCostPerJob: 100 },
      { channelId: "chat", capacityCostPerJob: 20, maxNumberOfJobs: 3 },
    ],
    availableForOffers: true,
  };
  const found = await comesBack("worker", body);
  assert.deepEqual(found.labels, { ...body.labels, Id: found.id });
  assert.deepEqual(found.channels, body.channels);
  assert.deepEqual([found.state, found.offers, found.assignedJobs, found.loadRatio], ["active", [], [], 0]);
});

test("offers and assignments of a worker, assignments of a job; a close that waits", async () => {
  const queue = await desk.queue();
  const [worker, job] = [await desk.worker([queue]), await desk.job({ queueId: queue })];
  const offer = await desk.offer(worker, job);
  assert.deepEqual(Object.keys(offer).sort(), ["capacityCost", "expiresAt", "jobId", "offerId", "offeredAt"]);
  assert.ok(new Date(offer.expiresAt) > new Date(offer.offeredAt));
  const { assignmentId } = await desk.accept(worker, job);
  const { assignedJobs, loadRatio } = await desk.until("worker", worker, (body) => body.assignedJobs.length === 1);
  const { assignedAt, ...assigned } = assignedJobs[0];
  assert.deepEqual([assigned, loadRatio], [{ assignmentId, jobId: job, capacityCost: 1 }, 1]);
  assert.ok(Math.abs(new Date(assignedAt) - Date.now()) < 60_000);
  await ok(desk.act("complete", [job, assignmentId]));
  assert.deepEqual(await ok(desk.act("close", [job, assignmentId], { closeAt: new Date(Date.now() + 1500) })), {});
  assert.equal((await ok(desk.read("job", job))).status, "completed");
  const closed = await desk.until("job", job, (body) => body.status === "closed");
  const { completedAt, closedAt, ...rest } = closed.assignments[assignmentId];
  assert.deepEqual(rest, { assignmentId, workerId: worker, assignedAt: closed.assignments[assignmentId].assignedAt });
  assert.ok(new Date(closedAt) > new Date(completedAt));
});

test("every kind of refusal is a RestError with its code", async () => {
  const worker = await desk.make("worker", { capacity: 1 });
  const job = await desk.job({ queueId: await desk.queue(), matchingMode: { kind: "suspend" } });
  const endpoint = process.env.ROUTER_ENDPOINT ?? process.env.ROUTER_CONNECTION_STRING.match(/endpoint=([^;]+?)\/?;/)[1];
  const stranger = createClient(endpoint, { key: Buffer.alloc(32, 1).toString("base64") });
  const large = { tags: { t: "x".repeat(1024 * 1024) } };
  for (const [call, status, code] of [
    [() => desk.read("queue", "none such"), 404, "NotFound"],
    [() => desk.write("worker", worker, { capacity: 0 }), 400, "BadRequest"],
    [() => desk.write("worker", worker, { capacity: 2 }, { "if-match": '"another"' }), 412, "ConditionNotMet"],
    [() => desk.remove("job", job), 409, "Conflict"],
    [() => desk.write("worker", worker, large), 413, "RequestEntityTooLarge"],
    [() => desk.client.pathUnchecked(`/routing/jobs/${job}`).put(), 405, "MethodNotAllowed"],
    [() => stranger.path("/routing/jobs").get(), 401, "Unauthorized"],
  ]) {
    await refused(call(), status, code);
    await assert.rejects(ok(call()), (thrown) => {
      assert.deepEqual([thrown.name, thrown.statusCode, thrown.code], ["RestError", status, code]);
      return true;
    });
  }
});
