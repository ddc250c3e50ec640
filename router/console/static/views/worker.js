// One worker: what it holds, what it could take, and why not.

import { workerPath } from "../acts.js";
import { Acts } from "../dialog.js";
import { path, Refusal, request } from "../api.js";
import { number, plain } from "../format.js";
import { refine } from "../route.js";
import { isOwn, seesAll, useSession } from "../session.js";
import { routerNow, soon, useLive, useResource } from "../store.js";
import { fromWorkersHistory, MOST_ENTRIES, workersTimelineOf } from "../timeline.js";
import { Age, Empty, Failed, html, Icon, JobLink, Left, Load, Loading, Moment, more, Pairs, QueueLink, WorkerState } from "../ui.js";
import { useState } from "../vendor/hooks.js";

const LOOKED_AT = 6;
const SPANS = { 1: "An hour", 8: "8 hours", 24: "A day", 168: "A week" };
const USUAL_SPAN = "8";

export function Worker({ id, route }) {
  const { snapshot } = useLive();
  const { settings } = useSession();
  const { value: worker, error, reload } = useResource(id, async (signal) => (await request("GET", workerPath(id), { signal })).body);
  if (error && !worker) return html`<${Failed} error=${error} what="Worker ${id}" />`;
  if (!worker) return html`<${Loading} what="worker ${id}" />`;

  const after = () => (soon(), reload());
  const seen = snapshot?.workers.find((one) => one.id === id);
  const own = isOwn(id);
  const completed = new Map((seen?.assignments ?? []).map((one) => [one.assignmentId, one.completedAt]));
  const assignments = (worker.assignedJobs ?? []).map((one) => ({ ...one, completedAt: completed.get(one.assignmentId) }));
  const nameOf = (queueId) => snapshot?.queues.find((queue) => queue.id === queueId)?.name;
  return html`
    <header class="head">
      <div>
        <p class="kind">${own ? "Your work" : "Worker"}</p>
        <h1>${worker.id}</h1>
        <p class="facts"><${WorkerState} worker=${{ ...worker, takesMore: seen?.takesMore }} />
          ${seen?.stateSince && html`<span>for <b><${Age} since=${seen.stateSince} /></b></span>`}
          <span>Load <${Load} ratio=${worker.loadRatio} /></span>
          <span>Capacity <b>${plain(worker.capacity)}</b></span>
        </p>
      </div>
      <div class="acts"><${Acts} names=${["logIn", "assignWork", "logOut"]} workerId=${id} subject=${{ path: workerPath(id), seen: worker }} after=${after} /></div>
    </header>
    <div class="pair">
      <div>
        <section class="card" aria-labelledby="offers-title">
          <h2 id="offers-title">On offer <small>${number((worker.offers ?? []).length)}</small></h2>
          ${!(worker.offers ?? []).length
            ? html`<${Empty} title="No offer." />`
            : html`<ul class="cards">${worker.offers.map((offer) => html`<li key=${offer.offerId} data-offer=${offer.jobId}>
                <div><${JobLink} id=${offer.jobId} /><p class="quiet"><${Left} until=${offer.expiresAt} /> left to accept</p></div>
                <div class="acts"><${Acts} small names=${["accept", "decline", "takeBack"]} workerId=${id} subject=${{ offer, workerId: id }} after=${after} /></div>
              </li>`)}</ul>`}
        </section>
        <section class="card" aria-labelledby="holds-title">
          <h2 id="holds-title">Works on <small>${number(assignments.length)}</small></h2>
          ${!assignments.length
            ? html`<${Empty} title="Nothing." />`
            : html`<ul class="cards">${assignments.map((one) => html`<li key=${one.assignmentId} data-assignment=${one.jobId}>
                <div><${JobLink} id=${one.jobId} /><p class="quiet">${one.completedAt ? html`completed, to be closed` : html`for <${Age} since=${one.assignedAt} />`}</p></div>
                <div class="acts"><${Acts} small names=${["complete", "close"]} workerId=${id} subject=${{ assignment: one, workerId: id }} after=${after} /></div>
              </li>`)}</ul>`}
        </section>
        ${seesAll() && html`<${Could} worker=${worker} snapshot=${snapshot} />`}
      </div>
      <div>
      <section class="card" aria-labelledby="serves-title">
        <h2 id="serves-title">Serves</h2>
        <dl class="details">
          <dt>Queues</dt><dd>${(worker.queues ?? []).length ? html`<ul class="plainlist">${worker.queues.map((queue) => html`<li key=${queue}>${seesAll() ? html`<${QueueLink} id=${queue} name=${nameOf(queue)} />` : queue}</li>`)}</ul>` : html`<span class="none">None</span>`}</dd>
          <dt>Channels</dt><dd>${(worker.channels ?? []).length ? html`<ul class="plainlist">${worker.channels.map((one) => html`<li key=${one.channelId}>${one.channelId} <span class="quiet">${plain(one.capacityCostPerJob)} of its capacity a job${one.maxNumberOfJobs ? `, at most ${number(one.maxNumberOfJobs)}` : ""}</span></li>`)}</ul>` : html`<span class="none">None</span>`}</dd>
          ${worker.maxConcurrentOffers && html`<dt>Offers</dt><dd>at most ${number(worker.maxConcurrentOffers)} at a time</dd>`}
          <dt>Labels</dt><dd><${Pairs} pairs=${worker.labels} /></dd>
          <dt>Tags</dt><dd><${Pairs} pairs=${worker.tags} /></dd>
        </dl>
      </section>
      ${seesAll() && settings?.history && html`<${Life} worker=${worker} route=${route} />`}
      </div>
    </div>
  `;
}

/** What happened to it lately, the newest first. */
function Life({ worker, route }) {
  const [shown, show] = useState(25);
  const last = SPANS[route.filters.last] ? route.filters.last : USUAL_SPAN;
  const { value, error } = useResource(`${worker.etag} ${last}`, async (signal) => {
    const found = await workersTimelineOf(worker.id, new Date(routerNow() - Number(last) * 3_600_000), signal);
    return { lines: found.flatMap(fromWorkersHistory).reverse(), cut: found.length >= MOST_ENTRIES };
  }, 15_000, true);
  return html`<section class="card life" aria-labelledby="life-title">
    <h2 id="life-title">What happened <small>the newest first</small></h2>
    <p class="filters"><label class="choice">Last <select id="last" value=${last} onChange=${(event) => refine(route, { last: event.target.value === USUAL_SPAN ? "" : event.target.value })}>
      ${Object.entries(SPANS).map(([one, words]) => html`<option key=${one} value=${one} selected=${one === last}>${words}</option>`)}</select></label></p>
    ${error && !value ? html`<${Failed} error=${error} what="What happened" />` : !value ? html`<${Loading} what="what happened" />` : html`
      ${value.cut && html`<p class="quiet"><${Icon} name="warn" /> Only the oldest ${number(MOST_ENTRIES)} changes of this time are here. Choose less.</p>`}
      ${!value.lines.length ? html`<${Empty} title="Nothing in this time." />` : html`<ol class="line">${value.lines.slice(0, shown).map((one, index) => html`<li key=${`${one.key} ${index}`}><${Moment} ...${one} /></li>`)}</ol>${more(value.lines, shown, show, 25)}`}`}
  </section>`;
}

/** The first waiting jobs of its queues, each with what keeps it from this worker. */
function Could({ worker, snapshot }) {
  const jobs = (snapshot?.jobs ?? []).filter((job) => (worker.queues ?? []).includes(job.queueId)).sort((one, other) => other.priority - one.priority || one.enqueuedAt.localeCompare(other.enqueuedAt));
  const first = jobs.slice(0, LOOKED_AT);
  const key = `${worker.etag} ${first.map((job) => job.id).join(" ")}`;
  // What was judged of a job is shown until it is judged anew: the line changes all the time.
  const { value } = useResource(key, async (signal) => new Map(await Promise.all(first.map(async (job) => [job.id, await judged(job.id, worker.id, signal)]))), 10_000, true);
  return html`<section class="card" aria-labelledby="could-title">
    <h2 id="could-title">What it could take <small>${number(jobs.length)} waiting in its queues</small></h2>
    ${!jobs.length
      ? html`<${Empty} title="Nobody waits in its queues." />`
      : html`<ol class="why">${first.map((job, index) => {
          const one = value?.get(job.id);
          return html`<li key=${job.id} data-job=${job.id} data-tone=${one?.qualifies ? "good" : "off"}>
            <span class="place figure">${number(index + 1)}</span>
            <div><${JobLink} id=${job.id} /> <span class="reason">${one && html`<${Icon} name=${one.qualifies ? "check" : one.reason === "hasOffer" ? "wait" : "cross"} />${one.qualifies ? "Could take it" : one.reason === "hasOffer" ? "Has it on offer" : "Not now"}`}</span>
              <p class="quiet">${one?.message ?? `${job.queueId} · priority ${plain(job.priority)}`}</p></div>
            <span class="quiet"><${Age} since=${job.enqueuedAt} /></span>
          </li>`;
        })}</ol>`}
    ${jobs.length > first.length && html`<p class="quiet">The first ${number(first.length)} in order are judged.</p>`}
  </section>`;
}

async function judged(jobId, workerId, signal) {
  try {
    const { body } = await request("GET", path`/routing/jobs/${jobId}/explain`, { query: { maxpagesize: 1000 }, signal });
    return body.workers.find((one) => one.workerId === workerId) ?? null;
  } catch (error) {
    if (error instanceof Refusal) return null;
    throw error;
  }
}
