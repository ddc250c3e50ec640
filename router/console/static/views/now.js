// What waits and who is there, now: totals, queues, waiting jobs, workers; filters and order stand in the address.

import { everyItem } from "../api.js";
import { duration, inMinutes, number, percent, plain, secondsSince } from "../format.js";
import { link, refine } from "../route.js";
import { pointsOf, useLive, useNow, useResource } from "../store.js";
import { Age, Empty, Failed, html, Icon, JobLink, JobStatus, Load, Loading, more, Sparkline, WorkerLink, WorkerState, workerWord } from "../ui.js";
import { useMemo, useState } from "../vendor/hooks.js";

/** So many jobs are looked through for a label or a tag. */
const MOST_JOBS = 2000;
const STATES = ["Available", "Busy", "Logging out", "Logged out"];

export function Now({ route }) {
  const { snapshot, refused } = useLive();
  const { queue: queueId, find = "", state = "", sort = "wait" } = route.filters;
  const words = useMemo(() => find.toLowerCase().split(/\s+/).filter(Boolean), [find]);
  if (refused) return html`<${Failed} error=${refused} what="The floor" />`;
  if (!snapshot) return html`<${Loading} what="what waits" />`;

  const queues = sorted(snapshot.queues, sort).filter((queue) => queue.id === queueId || matches(words, queue.id, queue.name) || !words.length || queueHas(queue.id));
  const chosen = snapshot.queues.find((queue) => queue.id === queueId);
  const jobs = snapshot.jobs.filter((job) => (!queueId || job.queueId === queueId) && jobMatches(job, words));
  const workers = snapshot.workers.filter(
    (worker) => (!queueId || worker.queues.includes(queueId)) && (!state || workerWord(worker) === state) && workerMatches(worker, words),
  );
  function queueHas(id) {
    return snapshot.jobs.some((job) => job.queueId === id && jobMatches(job, words)) || snapshot.workers.some((worker) => worker.queues.includes(id) && workerMatches(worker, words));
  }

  return html`
    <h1 class="visually-hidden">Now</h1>
    <${Totals} totals=${snapshot.totals} queues=${snapshot.queues} />
    <div class="filters" role="search">
      <label class="search"><span class="visually-hidden">Find in ids, labels and tags</span><${Icon} name="search" />
        <input id="find" type="search" placeholder="Find an id, a label, a tag" value=${find} autocomplete="off" spellcheck="false" onInput=${(event) => refine(route, { find: event.target.value })} />
      </label>
      <label class="choice">Workers
        <select id="state" value=${state} onChange=${(event) => refine(route, { state: event.target.value })}>
          <option value="">All</option>${STATES.map((one) => html`<option key=${one} value=${one} selected=${one === state}>${one}</option>`)}
        </select>
      </label>
      ${queueId && html`<a class="chip" href=${link("now", "", { ...route.filters, queue: "" })} aria-label="Show all queues, not only ${chosen?.name || queueId}">${chosen?.name || queueId}<${Icon} name="cross" /></a>`}
      ${(find || state) && html`<button type="button" class="plain" onClick=${() => refine(route, { find: "", state: "" })}>Clear</button>`}
    </div>
    <div class="floor">
      <${Queues} queues=${queues} all=${snapshot.queues.length} route=${route} />
      <${Waiting} key=${`jobs ${queueId}`} jobs=${jobs} all=${snapshot.jobs.length} where=${chosen?.name || queueId} filtered=${words.length > 0} />
      <${Workers} key=${`workers ${queueId}`} workers=${workers} all=${snapshot.workers.length} where=${chosen?.name || queueId} filtered=${words.length > 0 || state} />
      ${words.length > 0 && html`<${ByLabels} find=${find} words=${words} />`}
    </div>
  `;
}

/** The picture of what waits has no labels and tags of jobs: they are asked for once, when somebody wants to. */
function ByLabels({ find, words }) {
  const [asked, ask] = useState("");
  return html`<section class="card by-labels" aria-labelledby="found-title">
    <h2 id="found-title">Labels and tags of jobs</h2>
    ${asked === find
      ? html`<${Labelled} key=${find} words=${words} />`
      : html`<p><button type="button" id="labelled" onClick=${() => ask(find)}>Look for “${find.trim()}” in all active jobs</button></p>`}
  </section>`;
}

function Labelled({ words }) {
  const { value: jobs, error } = useResource("labelled", (signal) => everyItem("/routing/jobs", { query: { status: "active", maxpagesize: 500 }, signal, limit: MOST_JOBS }), 0);
  if (error && !jobs) return html`<${Failed} error=${error} what="The jobs" />`;
  if (!jobs) return html`<${Loading} what="the jobs" />`;
  const found = jobs.filter((job) => matches(words, job.id, ...pairsOf(job.labels), ...pairsOf(job.tags)));
  return html`
    ${jobs.length >= MOST_JOBS && html`<p class="quiet"><${Icon} name="warn" /> The newest ${number(jobs.length)} active jobs were looked at, and no others.</p>`}
    ${!found.length
      ? html`<${Empty} title="No active job has that in its labels or tags." />`
      : html`<ul class="labelled">${found.slice(0, 100).map((job) => html`<li key=${job.id}><${JobLink} id=${job.id} /> <${JobStatus} status=${job.status} /> <span class="quiet">${[...pairsOf(job.labels), ...pairsOf(job.tags)].join(", ")}</span></li>`)}
          ${found.length > 100 && html`<li class="quiet">and ${number(found.length - 100)} more</li>`}</ul>`}
  `;
}

function Totals({ totals, queues }) {
  const oldest = queues.map((queue) => queue.oldestEnqueuedAt).filter(Boolean).sort()[0];
  return html`<dl class="totals">
    <${Total} name="Waiting" value=${number(totals.waiting)} />
    <${Total} name="Longest wait" value=${html`<${Age} since=${oldest} />`} />
    <${Total} name="Offered" value=${number(totals.offered)} />
    <${Total} name="Assigned" value=${number(totals.assigned)} />
    <${Total} name="Available" value=${number(totals.workersAvailable)} />
    <${Total} name="At work" value=${number(totals.workersBusy)} />
  </dl>`;
}

const Total = ({ name, value }) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`;

const ORDERS = {
  name: (one, other) => (one.name || one.id).localeCompare(other.name || other.id),
  waiting: (one, other) => other.waiting - one.waiting,
  wait: (one, other) => (one.oldestEnqueuedAt ?? "9").localeCompare(other.oldestEnqueuedAt ?? "9"),
  available: (one, other) => one.workersAvailable - other.workersAvailable,
};

function sorted(queues, by) {
  return [...queues].sort((one, other) => (ORDERS[by] ?? ORDERS.wait)(one, other) || ORDERS.name(one, other));
}

function Queues({ queues, all, route }) {
  const [shown, show] = useState(100);
  const { sort = "wait", queue: chosen } = route.filters;
  const levels = queues.some((queue) => queue.serviceLevel);
  const head = (by, words, kind = "number") => html`<th scope="col" class=${kind} aria-sort=${sort === by ? (by === "name" || by === "available" ? "ascending" : "descending") : undefined}>
    <button type="button" class="sorter" onClick=${() => refine(route, { sort: by === "wait" ? "" : by })}>${words}${sort === by && html`<${Icon} name="down" />`}</button>
  </th>`;
  return html`<section class="card queues" aria-labelledby="queues-title">
    <h2 id="queues-title">Queues <small>${number(queues.length)}</small></h2>
    ${!all
      ? html`<${Empty} title="There is no queue yet.">Queues are made with the API, the command line or configuration files.<//>`
      : !queues.length
        ? html`<${Empty} title="No queue fits what you look for." />`
        : html`<div class="scroll" role="region" aria-labelledby="queues-title" tabindex="0"><table>
            <thead><tr>
              ${head("name", "Queue", "")}${head("waiting", "Waiting")}
              <th scope="col" class="wide">Last minutes</th>
              ${head("wait", html`<span>Longest<span class="wide"> wait</span></span>`)}
              <th scope="col" class="number wide">Offered</th><th scope="col" class="number wide">Assigned</th>
              ${head("available", "Available")}
              <th scope="col" class="number wide">At work</th>${levels && html`<th scope="col" class="number wide">In time</th>`}
            </tr></thead>
            <tbody>${queues.slice(0, shown).map((queue) => html`<${Queue} key=${queue.id} queue=${queue} route=${route} chosen=${queue.id === chosen} timely=${levels} />`)}</tbody>
          </table></div>${more(queues, shown, show)}`}
  </section>`;
}

function Queue({ queue, route, chosen, timely }) {
  const level = queue.serviceLevel;
  const unserved = queue.waiting > 0 && queue.workersAvailable + queue.workersBusy === 0;
  const levels = queue.waitingByPriority ?? [];
  return html`<tr data-id=${queue.id} data-chosen=${chosen}>
    <th scope="row">
      <a href=${link("now", "", { ...route.filters, queue: chosen ? "" : queue.id })} aria-current=${chosen ? "true" : undefined}>${queue.name || queue.id}</a>
      ${queue.name && queue.name !== queue.id && html`<span class="sub">${queue.id}</span>`}
      ${unserved && html`<span class="sub warn"><${Icon} name="warn" />Nobody is there</span>`}
    </th>
    <td class="number strong">${number(queue.waiting)}
      ${levels.length > 1 && html`<span class="sub" title="Waiting by priority">${levels.slice(0, 3).map((one) => `${number(one.count)} at ${plain(one.priority)}`).join(", ")}${levels.length > 3 ? ", …" : ""}</span>`}
    </td>
    <td class="wide"><${Sparkline} points=${pointsOf(queue.id)} name=${queue.name || queue.id} /></td>
    <td class="number">${queue.oldestEnqueuedAt ? html`<${Age} since=${queue.oldestEnqueuedAt} />` : html`<span class="none">–</span>`}</td>
    <td class="number wide">${number(queue.offered)}</td>
    <td class="number wide">${number(queue.assigned)}</td>
    <td class="number">${number(queue.workersAvailable)}</td>
    <td class="number wide">${number(queue.workersBusy)}</td>
    ${timely && html`<td class="number wide">${level ? html`<span title="Served within ${duration(level.thresholdSeconds)}, last ${number(level.windowMinutes)} minutes">${percent(level.percent / 100)}</span>` : html`<span class="none">–</span>`}</td>`}
  </tr>`;
}

function Waiting({ jobs, all, where, filtered }) {
  const [shown, show] = useState(100);
  const several = !where;
  // In a queue the order is that of service; over all queues who has waited longest comes first.
  const inOrder = [...jobs].sort((one, other) => (several ? one.enqueuedAt.localeCompare(other.enqueuedAt) : one.position - other.position));
  return html`<section class="card" aria-labelledby="jobs-title">
    <h2 id="jobs-title">Waiting${where && html` in ${where}`} <small>${number(jobs.length)}</small></h2>
    ${!jobs.length
      ? html`<${Empty} title=${filtered && all ? "No waiting job fits what you look for." : "Nobody waits."} />`
      : html`<div class="scroll" role="region" aria-labelledby="jobs-title" tabindex="0"><table>
          <thead><tr>
            <th scope="col" class="number">#</th><th scope="col">Job</th>
            <th scope="col" class="number">Priority</th><th scope="col" class="number">Waits</th><th scope="col" class="number">Estimate</th>
            <th scope="col" class="wide">Asks for</th>
          </tr></thead>
          <tbody>${inOrder.slice(0, shown).map((job) => html`<tr key=${job.id} data-id=${job.id}>
            <td class="number quiet">${number(job.position)}</td>
            <th scope="row"><${JobLink} id=${job.id} /><span class="sub">${several ? `${job.queueId} · ${job.channelId}` : job.channelId}</span></th>
            <td class="number">${plain(job.priority)}</td>
            <td class="number"><${Age} since=${job.enqueuedAt} /></td>
            <td class="number">${job.estimatedWaitMinutes === null || job.estimatedWaitMinutes === undefined ? html`<span class="none">–</span>` : inMinutes(job.estimatedWaitMinutes)}</td>
            <td class="wide">${job.selectors?.length ? job.selectors.join(", ") : html`<span class="none">Anybody</span>`}</td>
          </tr>`)}</tbody>
        </table></div>${more(jobs, shown, show)}`}
  </section>`;
}

function Workers({ workers, all, where, filtered }) {
  const [shown, show] = useState(100);
  const inOrder = [...workers].sort((one, other) => STATES.indexOf(workerWord(one)) - STATES.indexOf(workerWord(other)) || one.id.localeCompare(other.id));
  return html`<section class="card" aria-labelledby="workers-title">
    <h2 id="workers-title">Workers${where && html` of ${where}`} <small>${number(workers.length)}</small></h2>
    ${!workers.length
      ? html`<${Empty} title=${filtered && all ? "No worker fits what you look for." : "There is no worker."} />`
      : html`<div class="scroll" role="region" aria-labelledby="workers-title" tabindex="0"><table>
          <thead><tr>
            <th scope="col">Worker</th><th scope="col">State</th><th scope="col" class="number wide">Since</th>
            <th scope="col" class="wide">Load</th><th scope="col">Holds</th>
          </tr></thead>
          <tbody>${inOrder.slice(0, shown).map((worker) => html`<tr key=${worker.id} data-id=${worker.id}>
            <th scope="row"><${WorkerLink} id=${worker.id} /><span class="sub">${worker.channels.map((one) => one.channelId).join(", ")}</span></th>
            <td><${WorkerState} worker=${worker} /></td>
            <td class="number wide"><${Age} since=${worker.stateSince} /></td>
            <td class="wide"><${Load} ratio=${worker.loadRatio} /></td>
            <td><${Held} worker=${worker} /></td>
          </tr>`)}</tbody>
        </table></div>${more(inOrder, shown, show)}`}
  </section>`;
}

function Held({ worker }) {
  const now = useNow();
  const lines = [
    ...worker.offers.map((offer) => [offer.offerId, offer.jobId, `offered, ${duration(Math.max(0, (new Date(offer.expiresAt) - now) / 1000))} left`]),
    ...worker.assignments.map((one) => [one.assignmentId, one.jobId, one.completedAt ? "completed" : duration(secondsSince(one.assignedAt, now))]),
  ];
  if (!lines.length) return html`<span class="none">–</span>`;
  const rest = lines.length - 3;
  return html`<ul class="held">${lines.slice(0, 3).map(([id, jobId, words]) => html`<li key=${id}><${JobLink} id=${jobId} /> <span class="quiet figure">${words}</span></li>`)}
    ${rest > 0 && html`<li class="quiet">and ${number(rest)} more</li>`}</ul>`;
}

function matches(words, ...texts) {
  const text = texts.filter(Boolean).join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}

const pairsOf = (pairs) => Object.entries(pairs ?? {}).map(([key, value]) => `${key}=${value}`);
const jobMatches = (job, words) => !words.length || matches(words, job.id, job.queueId, job.channelId, ...(job.selectors ?? []), ...pairsOf(job.labels), ...pairsOf(job.tags));
const workerMatches = (worker, words) =>
  !words.length || matches(words, worker.id, ...worker.channels.map((one) => one.channelId), ...pairsOf(worker.labels), ...pairsOf(worker.tags), ...worker.offers.map((one) => one.jobId), ...worker.assignments.map((one) => one.jobId));
