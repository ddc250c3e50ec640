// Every operation, in the order in which an application uses them.
import { strict as assert } from "node:assert";
import { test } from "node:test";

import { clientFromEnvironment, ok, paginate, PREVIEW } from "./client.mjs";
import { ACTIONS, Desk, refused, ROUTES } from "./desk.mjs";

const desk = new Desk();
const first = { kind: "static", value: 7 };

const RESOURCES = [
  [
    "classificationPolicy",
    () => ({ name: "c", prioritizationRule: first, workerSelectorAttachments: [{ kind: "passThrough", key: "a", labelOperator: "equal" }] }),
    { name: "changed", prioritizationRule: { kind: "expression", expression: "job.a" } },
    { name: "changed", prioritizationRule: { kind: "expression", language: "powerFx", expression: "job.a" } },
  ],
  [
    "distributionPolicy",
    () => ({ name: "d", offerExpiresAfterSeconds: 30, mode: { kind: "bestWorker", scoringRule: first, maxConcurrentOffers: 2 } }),
    { mode: { kind: "roundRobin", minConcurrentOffers: 1 } },
    { name: "d", mode: { kind: "roundRobin", minConcurrentOffers: 1, maxConcurrentOffers: 1, bypassSelectors: false } },
  ],
  [
    "exceptionPolicy",
    () => ({ name: "e", exceptionRules: [{ id: "r", trigger: { kind: "queueLength", threshold: 3 }, actions: [{ kind: "cancel", note: "full" }] }] }),
    { exceptionRules: [] },
    { name: "e", exceptionRules: [] },
  ],
  [
    "queue",
    async () => ({ name: "q", distributionPolicyId: await desk.make("distributionPolicy", { mode: { kind: "roundRobin" } }), labels: { a: 1, b: "x" } }),
    { labels: { a: null, c: true } },
    { name: "q" },
  ],
  [
    "worker",
    async () => ({ queues: [await desk.queue()], capacity: 3, labels: { a: 1.5 }, channels: [{ channelId: "chat", capacityCostPerJob: 2, maxNumberOfJobs: 1 }] }),
    { capacity: 5, tags: { t: false } },
    { capacity: 5, tags: { t: false }, labels: undefined, channels: [{ channelId: "chat", capacityCostPerJob: 2, maxNumberOfJobs: 1 }] },
  ],
  [
    "job",
    async () => ({ channelId: "chat", queueId: await desk.queue(), priority: 4, labels: { a: "b" }, notes: [{ message: "n", addedAt: new Date(0) }] }),
    { dispositionCode: "d", notes: [] },
    { dispositionCode: "d", notes: [], priority: 4, labels: { a: "b" } },
  ],
];

for (const [kind, body, change, expected] of RESOURCES) {
  test(`create, read, change, list and delete: ${kind}`, async () => {
    const id = desk.id(kind);
    const created = await desk.write(kind, id, await body());
    assert.equal(created.status, "201", JSON.stringify(created.body));
    assert.equal(created.headers.etag, created.body.etag);
    assert.equal(created.body.id, id);
    if (kind !== "job") assert.deepEqual((await desk.read(kind, id)).body, created.body);

    const changed = await desk.write(kind, id, change);
    assert.equal(changed.status, "200", JSON.stringify(changed.body));
    for (const [name, value] of Object.entries(expected)) {
      if (value !== undefined) assert.deepEqual(changed.body[name], value, name);
    }
    if (kind === "queue") assert.deepEqual(changed.body.labels, { b: "x", c: true, Id: id });
    assert.notEqual(changed.body.etag, created.body.etag);

    const collection = ROUTES[kind].replace(/\/\{.*$/, "");
    const seen = [];
    for await (const item of paginate(desk.client, desk.client.path(collection).get())) seen.push(item.id);
    assert.equal(seen.filter((one) => one === id).length, 1);

    if (kind === "job") await ok(desk.act("cancel", [id]));
    assert.equal((await desk.remove(kind, id)).status, "204");
    assert.equal((await desk.remove(kind, id)).status, "204");
    await refused(desk.read(kind, id), 404, "NotFound");
  });
}

test("a job is offered, accepted, completed and closed; figures on the way", async () => {
  const queue = await desk.queue();
  const job = await desk.job({ queueId: queue });
  const second = await desk.job({ queueId: queue, priority: -1 });
  for (const id of [job, second]) await desk.until("job", id, (body) => body.status === "queued");
  const position = await ok(desk.client.path(ACTIONS.position, job).get());
  for (const beyond of ["estimatedWait", "estimatedWaitUnknown"]) delete position[beyond];
  assert.deepEqual({ ...position, estimatedWaitTimeMinutes: 0 }, { jobId: job, position: 1, queueId: queue, queueLength: 2, estimatedWaitTimeMinutes: 0 });
  const statistics = await ok(desk.client.path(ACTIONS.statistics, queue).get());
  assert.equal(statistics.length, 2);
  assert.deepEqual(Object.keys(statistics.estimatedWaitTimeMinutes).sort(), ["-1", "1"]);

  const worker = await desk.worker([queue]);
  const accepted = await desk.accept(worker, job);
  assert.deepEqual(Object.keys(accepted).sort(), ["assignmentId", "jobId", "workerId"]);
  const { assignmentId } = accepted;
  const assigned = await ok(desk.read("job", job));
  assert.equal(assigned.status, "assigned");
  assert.equal(assigned.assignments[assignmentId].workerId, worker);
  assert.deepEqual(await ok(desk.act("complete", [job, assignmentId], { note: "done" })), {});
  assert.deepEqual(await ok(desk.act("close", [job, assignmentId], { dispositionCode: "Good", note: "gone" })), {});
  const closed = await ok(desk.read("job", job));
  assert.equal(closed.status, "closed");
  assert.equal(closed.dispositionCode, "Good");
  assert.deepEqual(closed.notes.map((note) => note.message), ["done", "gone"]);
  assert.equal((await desk.remove("job", job)).status, "204");
  await desk.accept(worker, second);
});

test("an offer is declined and goes to the next worker; an assignment is given back", async () => {
  const queue = await desk.queue();
  const job = await desk.job({ queueId: queue });
  const worker = await desk.worker([queue]);
  const { offerId } = await desk.offer(worker, job);
  assert.deepEqual(await ok(desk.act("decline", [worker, offerId], { retryOfferAt: new Date(Date.now() + 3600_000) })), {});
  await refused(desk.act("decline", [worker, offerId]), 404, "NotFound");
  const other = await desk.worker([queue]);
  const { assignmentId } = await desk.accept(other, job);
  assert.deepEqual(await ok(desk.act("unassign", [job, assignmentId], { suspendMatching: true })), { jobId: job, unassignmentCount: 1 });
  const suspended = await desk.until("job", job, (body) => body.status === "waitingForActivation");
  assert.deepEqual(suspended.matchingMode, { kind: "suspend" });
  assert.deepEqual(suspended.assignments, {});
});

test("a job is classified, classified again and cancelled", async () => {
  const queue = await desk.queue();
  const policy = await desk.make("classificationPolicy", { fallbackQueueId: queue, prioritizationRule: first });
  const job = await desk.make("job", { channelId: "voice", classificationPolicyId: policy });
  await desk.until("job", job, (body) => body.status === "queued" && body.priority === 7);
  await ok(desk.write("classificationPolicy", policy, { prioritizationRule: { kind: "static", value: 9 } }));
  assert.deepEqual(await ok(desk.act("reclassify", [job])), {});
  await desk.until("job", job, (body) => body.status === "queued" && body.priority === 9);
  await refused(desk.remove("classificationPolicy", policy), 400, "BadRequest");
  await refused(desk.remove("queue", queue), 409, "Conflict");
  assert.deepEqual(await ok(desk.act("cancel", [job], { note: "no", dispositionCode: "Gone" })), {});
  assert.equal((await ok(desk.read("job", job))).status, "cancelled");
  await refused(desk.act("cancel", [job]), 409, "Conflict");
});

test("the preview version has maxConcurrentOffers on workers, the other has not", async () => {
  const preview = clientFromEnvironment({ apiVersion: PREVIEW });
  const id = desk.id("worker");
  const body = { capacity: 2, maxConcurrentOffers: 2 };
  const created = await preview.path(ROUTES.worker, id).patch({ contentType: "application/merge-patch+json", body });
  assert.equal(created.status, "201");
  assert.equal(created.body.maxConcurrentOffers, 2);
  assert.ok(!("maxConcurrentOffers" in (await ok(desk.read("worker", id)))));
});
