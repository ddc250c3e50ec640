// What the tests share: routes, short calls, waiting.
import { strict as assert } from "node:assert";
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";

import { clientFromEnvironment, ok, patch } from "./client.mjs";

export const ROUTES = {
  classificationPolicy: "/routing/classificationPolicies/{classificationPolicyId}",
  distributionPolicy: "/routing/distributionPolicies/{distributionPolicyId}",
  exceptionPolicy: "/routing/exceptionPolicies/{exceptionPolicyId}",
  queue: "/routing/queues/{queueId}",
  job: "/routing/jobs/{jobId}",
  worker: "/routing/workers/{workerId}",
};
export const ACTIONS = {
  position: "/routing/jobs/{jobId}/position",
  reclassify: "/routing/jobs/{jobId}:reclassify",
  cancel: "/routing/jobs/{jobId}:cancel",
  complete: "/routing/jobs/{jobId}/assignments/{assignmentId}:complete",
  close: "/routing/jobs/{jobId}/assignments/{assignmentId}:close",
  unassign: "/routing/jobs/{jobId}/assignments/{assignmentId}:unassign",
  accept: "/routing/workers/{workerId}/offers/{offerId}:accept",
  decline: "/routing/workers/{workerId}/offers/{offerId}:decline",
  statistics: "/routing/queues/{queueId}/statistics",
};

export class Desk {
  client = clientFromEnvironment();
  run = randomUUID().slice(0, 8);
  #count = 0;

  id(kind) {
    this.#count += 1;
    return `js-${this.run}-${kind}-${this.#count}`;
  }

  write(kind, id, body, headers) {
    return patch(this.client, ROUTES[kind], [id], body, headers);
  }

  read(kind, id) {
    return this.client.path(ROUTES[kind], id).get();
  }

  remove(kind, id) {
    return this.client.path(ROUTES[kind], id).delete();
  }

  act(action, ids, body) {
    return this.client.path(ACTIONS[action], ...ids).post(body === undefined ? {} : { body });
  }

  async make(kind, body, id = this.id(kind)) {
    const response = await this.write(kind, id, body);
    assert.equal(response.status, "201", JSON.stringify(response.body));
    return id;
  }

  async queue(fields = {}) {
    const policy = await this.make("distributionPolicy", { offerExpiresAfterSeconds: 60, mode: { kind: "longestIdle" } });
    return this.make("queue", { distributionPolicyId: policy, ...fields });
  }

  worker(queues, fields = {}) {
    const channels = [{ channelId: "voice", capacityCostPerJob: 1 }];
    return this.make("worker", { queues, capacity: 1, channels, availableForOffers: true, ...fields });
  }

  job(fields) {
    return this.make("job", { channelId: "voice", ...fields });
  }

  /** The resource, once the condition holds. */
  async until(kind, id, condition) {
    const deadline = Date.now() + 20_000;
    for (;;) {
      const body = await ok(this.read(kind, id));
      if (condition(body)) return body;
      if (Date.now() > deadline) assert.fail(`${kind} ${id} stays ${JSON.stringify(body)}; awaited: ${condition}`);
      await pause(30);
    }
  }

  async offer(workerId, jobId) {
    const worker = await this.until("worker", workerId, (body) => body.offers.some((offer) => offer.jobId === jobId));
    return worker.offers.find((offer) => offer.jobId === jobId);
  }

  async accept(workerId, jobId) {
    const { offerId } = await this.offer(workerId, jobId);
    return ok(this.act("accept", [workerId, offerId]));
  }
}

/** Status, code and header code of a refusal. */
export async function refused(pending, status, code) {
  const response = await pending;
  assert.equal(response.status, String(status), JSON.stringify(response.body));
  assert.equal(response.body.error.code, code);
  assert.equal(response.headers["x-ms-error-code"], code);
  assert.ok(response.body.error.message);
  return response.body.error;
}
