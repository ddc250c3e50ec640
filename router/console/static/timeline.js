// What the router's history tells of a job, in words.

import { everyItem, path } from "./api.js";

const MOST_ENTRIES = 500;
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
};
const POLICIES = { distributionPolicy: "distribution policy", classificationPolicy: "classification policy", exceptionPolicy: "exception policy", exceptionRule: "exception rule" };
/** Which of a change's events each kind of policy has decided. */
const DECIDES = { distributionPolicy: /^RouterWorkerOffer/, classificationPolicy: /^$|^RouterJobClass|^RouterJobQueued/, exceptionPolicy: /^(?!RouterWorkerOffer)/, exceptionRule: /^(?!RouterWorkerOffer)/ };
const FIELDS = { queueId: "queue", requestedWorkerSelectors: "what it asks for", attachedWorkerSelectors: "what its policy asks for" };

/** The entries of a job's timeline, oldest first. */
export const timelineOf = (id, signal) => everyItem(path`/routing/jobs/${id}/timeline`, { query: { maxpagesize: 100 }, signal, limit: MOST_ENTRIES });

/** An entry as lines {at, what, who}: one for each event, or for a change that has none. */
export function fromHistory(entry) {
  const [by, ...decider] = (entry.decidedBy ?? "").split("/");
  const decided = (name) => (DECIDES[by]?.test(name) ? `${POLICIES[by]} ${decider.join(" ")}` : "");
  const whom = byWhom(entry.actor);
  const notes = (entry.what?.notes ?? []).map((note) => ({ at: entry.at, what: "Note", who: note.message }));
  const events = entry.events ?? [];
  if (!events.length) {
    const fields = [...Object.keys(entry.what ?? {}), ...(entry.what?.tooLong ?? [])].filter((name) => !["tooLong", "notes"].includes(name));
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
