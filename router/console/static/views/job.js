// One job: where it is, why it waits for each worker, what happens next, and its life as a line of time.

import { assignmentsOf, jobPath, openAssignment } from "../acts.js";
import { Acts } from "../dialog.js";
import { path, Refusal, request } from "../api.js";
import { inMinutes, number, plain } from "../format.js";
import { useSession } from "../session.js";
import { useLive, useResource } from "../store.js";
import { fromHistory, timelineOf } from "../timeline.js";
import { Age, Empty, Failed, html, Icon, JobStatus, jobWord, Left, Loading, Moment, Pairs, QueueLink, When, WorkerLink } from "../ui.js";
import { useRef } from "../vendor/hooks.js";

export function Job({ id }) {
  const { settings } = useSession();
  const { snapshot } = useLive();
  const known = useRef({ etag: null, history: null, told: false });
  const { value, error, reload } = useResource(id, async (signal) => {
    const timeline = () => (settings?.history ? ifAllowed(timelineOf(id, signal)) : null);
    try {
      const [job, why] = await Promise.all([
        request("GET", jobPath(id), { signal }),
        ifAllowed(request("GET", path`/routing/jobs/${id}/explain`, { query: { maxpagesize: 100 }, signal })),
      ]);
      // Whatever is committed of a job changes its ETag.
      const told = Boolean(settings?.history);
      if (known.current.etag !== job.body.etag || known.current.told !== told) known.current = { history: await timeline(), etag: job.body.etag, told };
      return { job: job.body, told: why?.body ?? null, history: known.current.history };
    } catch (error) {
      // Its timeline is there longer than a job.
      const history = error instanceof Refusal && error.status === 404 ? await timeline() : null;
      if (!history?.length) throw error;
      return { job: null, told: null, history };
    }
  });
  if (error && !value) return html`<${Failed} error=${error} what="Job ${id}" />`;
  if (!value) return html`<${Loading} what="job ${id}" />`;
  if (!value.job) {
    return html`<header class="head"><div><p class="kind">Job</p><h1>${id}</h1><p class="facts"><span class="badge" data-tone="off">Deleted</span></p></div></header>
      <${Life} job=${null} history=${value.history} />`;
  }

  const { job, told, history } = value;
  const queue = snapshot?.queues.find((one) => one.id === job.queueId);
  const waiting = snapshot?.jobs.find((one) => one.id === job.id);
  const offers = (snapshot?.workers ?? []).flatMap((worker) => worker.offers.filter((offer) => offer.jobId === id).map((offer) => ({ offer, workerId: worker.id })));
  const subject = { path: jobPath(id), seen: job };
  const assignment = openAssignment(job);
  return html`
    <header class="head">
      <div>
        <p class="kind">Job</p>
        <h1>${job.id}</h1>
        <p class="facts"><${JobStatus} status=${job.status} />
          ${job.queueId && html`<span>Queue <${QueueLink} id=${job.queueId} name=${queue?.name} /></span>`}
          <span>Channel <b>${job.channelId}</b></span>
          <span>Priority <b>${plain(job.priority ?? 1)}</b></span>
          ${job.status === "queued" && html`<span>Waits <b><${Age} since=${job.enqueuedAt} /></b></span>`}
          ${waiting && html`<span>Place <b>${number(waiting.position)}</b></span>`}
          ${Number.isFinite(waiting?.estimatedWaitMinutes) && html`<span>Estimate <b>${inMinutes(waiting.estimatedWaitMinutes)}</b></span>`}
        </p>
      </div>
      <div class="acts"><${Acts} names=${["prioritise", "move", "unassign", "cancel"]} subject=${subject} after=${reload} /></div>
    </header>
    ${told && html`<p class="answer"><${Icon} name=${job.status === "queued" ? "wait" : "check"} />${told.summary}</p>`}
    <div class="pair">
      <div>
        ${job.status === "queued" && told && html`<${Why} told=${told} offers=${offers} after=${reload} />`}
        ${assignment && html`<section class="card" aria-labelledby="with-title"><h2 id="with-title">With</h2>
          <p class="withwhom"><${WorkerLink} id=${assignment.workerId} /> <span class="quiet">for <${Age} since=${assignment.assignedAt} /></span></p>
        </section>`}
        <${Details} job=${job} />
      </div>
      <${Life} job=${job} told=${told} history=${history} />
    </div>
  `;
}

const REASONS = {
  inactive: "Logged out",
  otherQueue: "Serves another queue",
  otherChannel: "Serves another channel",
  hasOffer: "Has it on offer",
  capacity: "No room",
  channelLimit: "Channel is full",
  offerLimit: "Has enough offers",
  full: "No room",
  selector: "Lacks what it asks for",
  declined: "Has declined it",
};

function Why({ told, offers, after }) {
  const fitting = told.workers.filter((one) => one.qualifies).length;
  return html`<section class="card" aria-labelledby="why-title">
    <h2 id="why-title">Why it waits <small>${fitting ? `${number(fitting)} could take it` : "nobody can take it now"}</small></h2>
    <p class="quiet">The workers of its queue, in the order in which they would get it.</p>
    ${!told.workers.length
      ? html`<${Empty} title="No worker serves its queue." />`
      : html`<ol class="why">${told.workers.map((one, index) => {
          const held = offers.find((offer) => offer.workerId === one.workerId);
          const tone = one.qualifies ? "good" : one.reason === "hasOffer" ? "wait" : "off";
          return html`<li key=${one.workerId} data-worker=${one.workerId} data-tone=${tone}>
            <span class="place figure">${number(index + 1)}</span>
            <div><${WorkerLink} id=${one.workerId} /> <span class="reason"><${Icon} name=${one.qualifies ? "check" : one.reason === "hasOffer" ? "wait" : "cross"} />${one.qualifies ? "Could take it" : REASONS[one.reason] ?? one.reason}</span>
              ${one.message && html`<p class="quiet">${one.message}</p>`}</div>
            ${held && html`<div class="acts"><span class="quiet"><${Left} until=${held.offer.expiresAt} /> left</span><${Acts} small names=${["takeBack"]} subject=${held} after=${after} /></div>`}
          </li>`;
        })}</ol>`}
    ${told.nextLink && html`<p class="quiet">Only the first ${number(told.workers.length)} are shown.</p>`}
  </section>`;
}

function Details({ job }) {
  const selectors = [...(job.requestedWorkerSelectors ?? []), ...(job.attachedWorkerSelectors ?? []).map((one) => ({ ...one, attached: true }))];
  return html`<section class="card" aria-labelledby="details-title">
    <h2 id="details-title">Details</h2>
    <dl class="details">
      <dt>Asks for</dt><dd>${selectors.length ? html`<ul class="plainlist">${selectors.map((one, index) => html`<li key=${index} class=${one.status === "expired" ? "quiet" : ""}>${wordsOf(one)}${one.expiresAt && html` <span class="quiet">${one.status === "expired" ? "expired" : "until"} <${When} at=${one.expiresAt} /></span>`}</li>`)}</ul>` : html`<span class="none">Anybody</span>`}</dd>
      <dt>Labels</dt><dd><${Pairs} pairs=${job.labels} /></dd>
      <dt>Tags</dt><dd><${Pairs} pairs=${job.tags} /></dd>
      ${job.channelReference && html`<dt>Reference</dt><dd>${job.channelReference}</dd>`}
      ${job.classificationPolicyId && html`<dt>Classified by</dt><dd>${job.classificationPolicyId}</dd>`}
      ${job.dispositionCode && html`<dt>Disposition</dt><dd>${job.dispositionCode}</dd>`}
      ${(job.notes ?? []).length > 0 && html`<dt>Notes</dt><dd><ul class="plainlist">${job.notes.map((note, index) => html`<li key=${index}>${note.message} <span class="quiet"><${When} at=${note.addedAt} /></span></li>`)}</ul></dd>`}
    </dl>
  </section>`;
}

const OPERATORS = { equal: "is", notEqual: "is not", lessThan: "<", lessThanOrEqual: "≤", greaterThan: ">", greaterThanOrEqual: "≥" };

function wordsOf(selector) {
  return `${selector.key} ${OPERATORS[selector.labelOperator] ?? selector.labelOperator} ${plain(selector.value)}${selector.expedite ? ", served first" : ""}${selector.attached ? ", attached by its policy" : ""}`;
}

const NEXT = {
  offerExpires: "Offer expires",
  selectorExpires: "Asks for less",
  retryOffer: "May be offered again",
  retryScoring: "Scoring is tried again",
  ruleFires: "Exception rule fires",
  activation: "Waits for activation",
  close: "Is closed",
  lifeEnds: "Life ends",
};

function Life({ job, told, history }) {
  const entries = history ? history.flatMap(fromHistory) : fromJob(job);
  const ended = !job || ["closed", "cancelled"].includes(job.status);
  return html`<section class="card life" aria-labelledby="life-title">
    <h2 id="life-title">Its life</h2>
    <ol class="line">
      ${entries.map((one, index) => html`<li key=${`${one.at} ${index}`}><${Moment} ...${one} /></li>`)}
      <li class="now" aria-current="time"><b>${!job ? "Deleted" : ended ? jobWord(job.status) : `Now: ${jobWord(job.status).toLowerCase()}`}</b></li>
      ${(told?.next ?? []).map((one) => html`<li class="ahead" key=${`${one.at} ${one.message}`}><${Moment} at=${one.at} what=${NEXT[one.what] ?? one.what} who=${one.message} /></li>`)}
    </ol>
    ${!ended && !(told?.next ?? []).length && html`<p class="quiet">Nothing happens by itself.</p>`}
  </section>`;
}

/** What the job itself remembers, in the order of time. */
function fromJob(job) {
  const entries = [];
  if (job.scheduledAt) entries.push({ at: job.scheduledAt, what: "Its time had come" });
  if (job.enqueuedAt) entries.push({ at: job.enqueuedAt, what: "Came into the queue", who: job.queueId });
  for (const one of assignmentsOf(job)) {
    entries.push({ at: one.assignedAt, what: "Accepted", who: one.workerId });
    if (one.completedAt) entries.push({ at: one.completedAt, what: "Completed", who: one.workerId });
    if (one.closedAt) entries.push({ at: one.closedAt, what: "Closed", who: job.dispositionCode ?? "" });
  }
  for (const note of job.notes ?? []) entries.push({ at: note.addedAt, what: "Note", who: note.message });
  return entries.sort((one, other) => Date.parse(one.at) - Date.parse(other.at));
}

async function ifAllowed(asked) {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof Refusal && (error.status === 403 || error.status === 404)) return null;
    throw error;
  }
}
