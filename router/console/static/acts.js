// What a supervisor or an agent can do: the API's own operations, each under the version that was seen.

import { path, Refusal, request } from "./api.js";
import { plain } from "./format.js";
import { routerNow, soon } from "./store.js";
import { jobWord } from "./ui.js";

/** What was seen is no longer so: `fresh` is what is there now, null where it is gone. */
export class Changed extends Error {
  constructor(fresh) {
    super(fresh ? "It has changed since you looked." : "It is no longer there.");
    this.fresh = fresh;
  }
}

export const jobPath = (id) => path`/routing/jobs/${id}`;
export const workerPath = (id) => path`/routing/workers/${id}`;

const OVER = ["completed", "closed", "cancelled"];
const MOVABLE = (job) => !OVER.includes(job.status) && job.status !== "assigned";

/**
 * By name. `subject` is {path, seen} with the resource as it was seen, and what else the act is about.
 * fields(subject, floor): what is asked; floor has the queues. run(subject, values) does it.
 */
export const ACTS = {
  prioritise: {
    label: "Prioritise",
    icon: "up",
    allowed: ({ seen }) => MOVABLE(seen),
    title: ({ seen }) => `Prioritise ${seen.id}`,
    words: "A job with a higher priority is served before all with a lower one. Offers that stand now stay.",
    confirm: "Set priority",
    fields: ({ seen }) => [{ name: "priority", label: "Priority, -100 to 100", kind: "number", min: -100, max: 100, value: seen.priority ?? 1 }],
    run: (subject, { priority }) => patch(subject, { priority: Number(priority) }),
    done: ({ seen }, { priority }) => `${seen.id} has priority ${priority}.`,
  },
  move: {
    label: "Move",
    icon: "next",
    allowed: ({ seen }) => MOVABLE(seen),
    title: ({ seen }) => `Move ${seen.id} to another queue`,
    words: "It waits there as one that has just come. Offers that stand now are taken back.",
    confirm: "Move job",
    fields: ({ seen }, { queues }) => [
      {
        name: "queueId",
        label: "Queue",
        kind: "select",
        value: queues.find((queue) => queue.id !== seen.queueId)?.id ?? "",
        options: queues.filter((queue) => queue.id !== seen.queueId).map((queue) => [queue.id, nameOf(queue)]),
      },
    ],
    run: (subject, { queueId }) => patch(subject, { queueId }),
    done: ({ seen }, { queueId }) => `${seen.id} is in queue ${queueId}.`,
  },
  cancel: {
    label: "Cancel",
    icon: "cross",
    tone: "danger",
    allowed: ({ seen }) => !OVER.includes(seen.status),
    title: ({ seen }) => `Cancel ${seen.id}`,
    words: "This ends the job for good. Offers are taken back; who works on it is free again.",
    confirm: "Cancel job",
    fields: () => [
      { name: "dispositionCode", label: "Disposition", kind: "text", value: "", hint: "Empty: Cancelled", maxlength: 256 },
      { name: "note", label: "Note", kind: "text", value: "", hint: "Kept with the job", maxlength: 1000 },
    ],
    run: (subject, { dispositionCode, note }) => post(subject, `${subject.path}:cancel`, given({ dispositionCode, note })),
    done: ({ seen }) => `${seen.id} is cancelled.`,
  },
  unassign: {
    label: "Unassign",
    icon: "back",
    allowed: ({ seen }) => seen.status === "assigned" && openAssignment(seen) !== undefined,
    title: ({ seen }) => `Unassign ${seen.id} from ${openAssignment(seen)?.workerId}`,
    words: "The job waits again in its old place, and is offered anew. The worker is free again.",
    confirm: "Unassign job",
    fields: () => [{ name: "suspendMatching", label: "Hold it back until it is activated", kind: "check", value: false }],
    run: (subject, { suspendMatching }) =>
      post(subject, `${subject.path}${path`/assignments/${openAssignment(subject.seen).assignmentId}`}:unassign`, { suspendMatching }),
    done: ({ seen }) => `${seen.id} is unassigned.`,
  },
  takeBack: {
    label: "Take offer back",
    icon: "back",
    allowed: () => true,
    title: ({ offer, workerId }) => `Take ${offer.jobId} back from ${workerId}`,
    words: "The offer ends, and the job is offered anew at once: to the next worker in order.",
    confirm: "Take back and offer anew",
    fields: () => [
      {
        name: "again",
        label: "The same worker may be asked again",
        kind: "select",
        value: "300",
        options: [["0", "At once"], ["60", "After 1 minute"], ["300", "After 5 minutes"], ["1800", "After 30 minutes"], ["", "Not until it logs in anew"]],
      },
    ],
    run: ({ offer, workerId }, { again }) =>
      sent("POST", path`/routing/workers/${workerId}/offers/${offer.offerId}:decline`, {
        body: again === "" ? {} : { retryOfferAt: new Date(routerNow() + Number(again) * 1000).toISOString() },
      }),
    done: ({ offer, workerId }) => `${offer.jobId} is no longer offered to ${workerId}.`,
  },
  logOut: {
    label: "Log out",
    icon: "out",
    tone: "danger",
    allowed: ({ seen }) => seen.availableForOffers === true,
    title: ({ seen }) => `Log ${seen.id} out`,
    words: "It gets no more offers, and those that it holds are taken back. What it works on stays with it until it is closed.",
    confirm: "Log worker out",
    fields: () => [],
    run: (subject) => patch(subject, { availableForOffers: false }),
    done: ({ seen }) => `${seen.id} is logged out.`,
  },
  logIn: {
    label: "Log in",
    icon: "check",
    allowed: ({ seen }) => !seen.availableForOffers,
    title: ({ seen }) => `Log ${seen.id} in`,
    words: "It gets offers from now on.",
    confirm: "Log worker in",
    fields: () => [],
    run: (subject) => patch(subject, { availableForOffers: true }),
    done: ({ seen }) => `${seen.id} is available.`,
  },
  assignWork: {
    label: "Queues and capacity",
    icon: "wait",
    allowed: () => true,
    title: ({ seen }) => `Queues and capacity of ${seen.id}`,
    words: "Holds until somebody changes it again. Offers that the worker can no longer take are taken back.",
    confirm: "Save",
    fields: ({ seen }, { queues }) => [
      { name: "queues", label: "Queues", kind: "checks", value: seen.queues ?? [], options: withHeld(queues, seen.queues ?? []).map((queue) => [queue.id, nameOf(queue)]) },
      { name: "capacity", label: "Capacity", kind: "number", min: 1, value: seen.capacity },
      ...(seen.channels ?? []).map((channel) => ({
        name: `most:${channel.channelId}`,
        label: `At most jobs at a time, channel ${channel.channelId}`,
        kind: "number",
        min: 1,
        optional: true,
        hint: `Empty: as many as the capacity allows, at ${plain(channel.capacityCostPerJob)} each`,
        value: channel.maxNumberOfJobs ?? "",
      })),
    ],
    run: (subject, values) =>
      patch(subject, {
        queues: values.queues,
        capacity: Number(values.capacity),
        channels: (subject.seen.channels ?? []).map(({ maxNumberOfJobs, ...channel }) => {
          const most = values[`most:${channel.channelId}`];
          return most === "" ? channel : { ...channel, maxNumberOfJobs: Number(most) };
        }),
      }),
    done: ({ seen }) => `Queues and capacity of ${seen.id} are changed.`,
  },
  accept: {
    label: "Accept",
    icon: "check",
    tone: "primary",
    allowed: () => true,
    title: ({ offer }) => `Accept ${offer.jobId}`,
    words: "The job is yours.",
    confirm: "Accept job",
    fields: () => [],
    run: ({ offer, workerId }) => sent("POST", path`/routing/workers/${workerId}/offers/${offer.offerId}:accept`, {}),
    done: ({ offer }) => `${offer.jobId} is yours.`,
  },
  decline: {
    label: "Decline",
    icon: "cross",
    allowed: () => true,
    title: ({ offer }) => `Decline ${offer.jobId}`,
    words: "The job goes on to others.",
    confirm: "Decline job",
    fields: () => [],
    run: ({ offer, workerId }) => sent("POST", path`/routing/workers/${workerId}/offers/${offer.offerId}:decline`, { body: {} }),
    done: ({ offer }) => `${offer.jobId} is declined.`,
  },
  complete: {
    label: "Complete",
    icon: "check",
    tone: "primary",
    allowed: ({ assignment }) => !assignment.completedAt,
    title: ({ assignment }) => `Complete ${assignment.jobId}`,
    words: "The work is done. Its room is free again when the job is closed.",
    confirm: "Complete job",
    fields: () => [{ name: "note", label: "Note", kind: "text", value: "", maxlength: 1000 }],
    run: ({ assignment }, { note }) =>
      sent("POST", path`/routing/jobs/${assignment.jobId}/assignments/${assignment.assignmentId}:complete`, { body: given({ note }) }),
    done: ({ assignment }) => `${assignment.jobId} is completed.`,
  },
  close: {
    label: "Close",
    icon: "out",
    allowed: () => true,
    title: ({ assignment }) => `Close ${assignment.jobId}`,
    words: "The job ends, and you are free for another. It must be completed before.",
    confirm: "Close job",
    fields: () => [
      { name: "dispositionCode", label: "Disposition", kind: "text", value: "", hint: "Empty: Closed", maxlength: 256 },
      { name: "note", label: "Note", kind: "text", value: "", maxlength: 1000 },
    ],
    run: ({ assignment }, { dispositionCode, note }) =>
      sent("POST", path`/routing/jobs/${assignment.jobId}/assignments/${assignment.assignmentId}:close`, { body: given({ dispositionCode, note }) }),
    done: ({ assignment }) => `${assignment.jobId} is closed.`,
  },
};

/** A job's assignments stand by their ids. */
export const assignmentsOf = (job) => Object.values(job.assignments ?? {});

export const openAssignment = (job) => assignmentsOf(job).find((one) => !one.closedAt && !one.completedAt);

/** What differs between two versions of a resource, as [what, before, now]. */
export function differences(before, now) {
  const names = new Set([...Object.keys(before), ...Object.keys(now)]);
  names.delete("etag");
  return [...names]
    .filter((name) => JSON.stringify(before[name]) !== JSON.stringify(now[name]))
    .map((name) => [WORDS[name] ?? name, brief(name, before[name]), brief(name, now[name])]);
}

const WORDS = {
  status: "Status",
  queueId: "Queue",
  priority: "Priority",
  enqueuedAt: "Waits since",
  assignments: "Assigned to",
  availableForOffers: "Available",
  state: "State",
  loadRatio: "Load",
  offers: "Offers",
  assignedJobs: "Works on",
  queues: "Queues",
  capacity: "Capacity",
  notes: "Notes",
  labels: "Labels",
  tags: "Tags",
  channels: "Channels",
  dispositionCode: "Disposition",
};

function brief(name, value) {
  if (value === undefined || value === null) return "none";
  if (name === "status") return jobWord(value);
  if (name === "enqueuedAt") return new Date(value).toLocaleTimeString(navigator.languages);
  if (name === "assignments") return assignmentsOf({ assignments: value }).map((one) => one.workerId).join(", ") || "nobody";
  if (Array.isArray(value)) return value.map((one) => one.jobId ?? one.channelId ?? one.message ?? plain(one)).join(", ") || "none";
  if (typeof value === "object") return Object.entries(value).map(([key, one]) => `${key} ${plain(one)}`).join(", ") || "none";
  return plain(value);
}

async function patch(subject, body) {
  try {
    await sent("PATCH", subject.path, { body, ifMatch: subject.seen.etag });
  } catch (error) {
    if (error.status !== 412 && error.status !== 404 && error.status !== 409) throw error;
    await compare(subject);
    throw error;
  }
}

/** The API has conditions for changes alone. So an action looks at the version just before; the router refuses what the state does not allow. */
async function post(subject, target, body) {
  await compare(subject);
  try {
    await sent("POST", target, { body });
  } catch (error) {
    if (error.status !== 412 && error.status !== 404 && error.status !== 409) throw error;
    await compare(subject);
    throw error;
  }
}

async function compare(subject) {
  let fresh = null;
  try {
    fresh = (await request("GET", subject.path)).body;
  } catch (error) {
    if (!(error instanceof Refusal) || error.status !== 404) throw error;
  }
  if (fresh?.etag !== subject.seen.etag) throw new Changed(fresh);
}

async function sent(method, target, options) {
  try {
    return await request(method, target, options);
  } finally {
    soon();
  }
}

const given = (fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ""));
const nameOf = (queue) => (queue.name && queue.name !== queue.id ? `${queue.name} (${queue.id})` : queue.id);
const withHeld = (queues, held) => [...queues, ...held.filter((id) => !queues.some((queue) => queue.id === id)).map((id) => ({ id }))];
