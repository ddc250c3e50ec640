// What the router's history tells of a job or a worker, in words.

import { everyItem, path } from "./api.js";

export const MOST_ENTRIES = 500;
const WHAT = {
  RouterJobReceived: "Received",
  RouterJobClassified: "Classified",
  RouterJobClassificationFailed: "Classification failed",
  RouterJobQueued: "Came into the queue",
  RouterJobWorkerSelectorsExpired: "Asked for less",
  RouterJobExceptionTriggered: "An exception rule fired",
  RouterJobCompleted: "Completed",
  RouterJobUnassigned: "Unassigned",
  RouterJobClosed: "Closed",
  RouterJobCancelled: "Cancelled",
  RouterJobWaitingForActivation: "Waits for activation",
  RouterJobSchedulingFailed: "Scheduling failed",
  RouterJobDeleted: "Deleted",
  RouterWorkerOfferIssued: "Offered",
  RouterWorkerOfferAccepted: "Accepted",
  RouterWorkerOfferDeclined: "Declined",
  RouterWorkerOfferExpired: "Offer expired",
  RouterWorkerOfferRevoked: "Offer taken back",
  RouterWorkerRegistered: "Logged in",
  RouterWorkerDeregistered: "Logged out",
  RouterWorkerUpdated: "Changed",
  RouterWorkerDeleted: "Deleted",
};
const POLICIES = { distributionPolicy: "distribution policy", classificationPolicy: "classification policy", exceptionPolicy: "exception policy", exceptionRule: "exception rule" };
/** Which of a change's events each kind of policy has decided. */
const DECIDES = { distributionPolicy: /^RouterWorkerOffer/, classificationPolicy: /^$|^RouterJobClass|^RouterJobQueued/, exceptionPolicy: /^(?!RouterWorkerOffer)/, exceptionRule: /^(?!RouterWorkerOffer)/ };
const FIELDS = { queueId: "queue", requestedWorkerSelectors: "what it asks for", attachedWorkerSelectors: "what its policy asks for" };

/** The entries of a job's timeline, oldest first. */
export const timelineOf = (id, signal) => everyItem(path`/routing/jobs/${id}/timeline`, { query: { maxpagesize: 100 }, signal, limit: MOST_ENTRIES });

/** The entries of a worker's timeline since a time, oldest first. */
export const workersTimelineOf = (id, since, signal) => everyItem(path`/routing/workers/${id}/timeline`, { query: { from: since.toISOString(), maxpagesize: 100 }, signal, limit: MOST_ENTRIES });

/** An entry of a worker as lines {key, at, what, who, jobId}: one for each event, or for a change that has none. */
export function fromWorkersHistory(entry) {
  const whom = byWhom(entry.actor);
  const base = { at: entry.at, jobId: entry.jobId };
  const events = (entry.events ?? []).map((event) => event.eventType.replace(/^.*\./, ""));
  if (entry.jobId) {
    const decided = entry.decidedBy?.startsWith("distributionPolicy/") ? `distribution policy ${entry.decidedBy.slice(19)}` : "";
    return events.map((name) => ({ ...base, key: `${entry.eventId} ${name}`, what: WHAT[name] ?? name, who: line([entry.queueId, name.startsWith("RouterWorkerOffer") && decided, whom]) }));
  }
  const fields = fieldsOf(entry);
  // What tells of logging in and out is said already.
  const told = fields.filter((name) => !["id", "state", "availableForOffers"].includes(name)).map((name) => FIELDS[name] ?? name).join(", ");
  const names = events.filter((name) => name !== "RouterWorkerUpdated" || told);
  if (!events.length && !fields.length) return [];
  if (!names.length) return [{ ...base, key: entry.eventId, what: changed(entry.what), who: line([told, whom]) }];
  return names.map((name) => ({ ...base, key: `${entry.eventId} ${name}`, what: WHAT[name] ?? name, who: line([told, whom]) }));
}

function changed(what) {
  if (what?.availableForOffers === true) return "Logs in";
  if (what?.availableForOffers === false) return "Logs out";
  return what?.state === "inactive" ? "Logged out" : "Changed";
}

const fieldsOf = (entry) => [...Object.keys(entry.what ?? {}), ...(entry.what?.tooLong ?? [])].filter((name) => !["tooLong", "notes"].includes(name));

/** An entry as lines {at, what, who}: one for each event, or for a change that has none. */
export function fromHistory(entry) {
  const [by, ...decider] = (entry.decidedBy ?? "").split("/");
  const decided = (name) => (DECIDES[by]?.test(name) ? `${POLICIES[by]} ${decider.join(" ")}` : "");
  const whom = byWhom(entry.actor);
  const notes = (entry.what?.notes ?? []).map((note) => ({ at: entry.at, what: "Note", who: note.message }));
  const events = entry.events ?? [];
  if (!events.length) {
    const fields = fieldsOf(entry);
    const lines = fields.length || !notes.length ? [{ at: entry.at, what: "Changed", who: line([fields.map((name) => FIELDS[name] ?? name).join(", "), decided(""), whom]) }] : [];
    return [...lines, ...notes];
  }
  const lines = events.map((event) => {
    const name = event.eventType.replace(/^.*\./, "");
    const place = name === "RouterJobQueued" ? entry.queueId : event.workerId;
    return { at: entry.at, what: WHAT[name] ?? name, who: line([place, event.exceptionRuleId, event.dispositionCode, decided(name), whom]) };
  });
  return [...lines, ...notes];
}

/** Who did it, where that is somebody: what the router does by itself needs no name. */
export function byWhom(actor) {
  if (!actor || actor.kind === "router") return "";
  if (actor.kind === "deadline") return "by itself, in time";
  if (actor.kind === "rule") return `by the rule ${actor.name}`;
  return actor.kind === "key" ? `by the ${actor.name} key` : `by ${actor.name}`;
}

const line = (parts) => parts.filter(Boolean).join(" · ");
