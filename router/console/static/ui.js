// Small parts that views are made of. All text is put in as text.

import { duration, fromNow, full, number, percent, plain, secondsSince, shortMoment } from "./format.js";
import { link } from "./route.js";
import { useNow } from "./store.js";
import htm from "./vendor/htm.js";
import { h } from "./vendor/preact.js";

export const html = htm.bind(h);

const ICONS = {
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l4.5 4.5",
  back: "M15 5l-7 7 7 7",
  check: "M5 12.5l4.5 4.5L19 7.5",
  cross: "M6 6l12 12M18 6L6 18",
  wait: "M12 7v5l3.5 2M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z",
  warn: "M12 4l9 16H3zM12 10v4.5M12 17.2v.3",
  next: "M5 12h13M13 6l6 6-6 6",
  up: "M12 19V6M6 11l6-6 6 6",
  down: "M12 5v13M6 13l6 6 6-6",
  out: "M10 4H5v16h5M14 8l4 4-4 4M18 12H9",
  wall: "M3 5h18v12H3zM9 21h6",
};

export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${ICONS[name]} /></svg>`;
}

const JOB_WORDS = {
  created: "Created",
  pendingClassification: "Being classified",
  classificationFailed: "Classification failed",
  pendingSchedule: "Being scheduled",
  scheduled: "Scheduled",
  scheduleFailed: "Scheduling failed",
  waitingForActivation: "Waits for activation",
  queued: "Waiting",
  assigned: "Assigned",
  completed: "Completed",
  closed: "Closed",
  cancelled: "Cancelled",
};
const JOB_TONES = { queued: "wait", assigned: "good", completed: "good", classificationFailed: "bad", scheduleFailed: "bad", cancelled: "off", closed: "off" };
const WORKER_WORDS = { active: "Available", draining: "Logging out", inactive: "Logged out" };

export const jobWord = (status) => JOB_WORDS[status] ?? plain(status);

export function JobStatus({ status }) {
  return html`<span class="badge" data-tone=${JOB_TONES[status] ?? "plain"}>${jobWord(status)}</span>`;
}

/** A worker's state in one word: who is active and can take nothing more is busy. */
export function workerWord(worker) {
  if (worker.state === "active" && worker.takesMore === false) return "Busy";
  return WORKER_WORDS[worker.state] ?? plain(worker.state);
}

const WORKER_SIGNS = { Available: "free", Busy: "busy", "Logging out": "leaving", "Logged out": "away" };

export function WorkerState({ worker }) {
  const word = workerWord(worker);
  return html`<span class="state" data-state=${WORKER_SIGNS[word] ?? "away"}><i aria-hidden="true"></i>${word}</span>`;
}

/** A moment: local time, and how far it is from now. */
export function When({ at, relative = true }) {
  const now = useNow();
  if (!at) return html`<span class="none">–</span>`;
  return html`<time datetime=${at} title=${full(at)}>${relative ? fromNow(at, now) : full(at)}</time>`;
}

/** How long something has lasted, counting on. */
export function Age({ since }) {
  const now = useNow();
  if (!since) return html`<span class="none">–</span>`;
  const seconds = secondsSince(since, now);
  return html`<time class="figure" datetime=${since} title=${full(since)}>${duration(seconds)}</time>`;
}

/** How long there is until a moment. */
export function Left({ until }) {
  const now = useNow();
  const seconds = Math.max(0, (new Date(until) - now) / 1000);
  return html`<time class="figure" datetime=${until} title=${full(until)}>${duration(seconds)}</time>`;
}

/** One thing that happened or will: a point of a line of time. */
export function Moment({ at, what, who, jobId }) {
  const now = useNow();
  return html`<b>${what}</b>${jobId && html` <${JobLink} id=${jobId} />`} <span class="quiet"><${When} at=${at} />, <time datetime=${at} title=${full(at)}>${shortMoment(at, now)}</time></span>${who && html`<span class="who">${who}</span>`}`;
}

export const JobLink = ({ id }) => html`<a class="id" href=${link("job", id)}>${id}</a>`;
export const WorkerLink = ({ id }) => html`<a class="id" href=${link("worker", id)}>${id}</a>`;
export const QueueLink = ({ id, name }) => html`<a href=${link("now", "", { queue: id })}>${name || id}</a>`;

/** Labels or tags as pairs. */
export function Pairs({ pairs, none = "None" }) {
  const names = Object.keys(pairs ?? {}).sort();
  if (!names.length) return html`<span class="none">${none}</span>`;
  return html`<ul class="pairs">
    ${names.map((name) => html`<li key=${name}><span>${name}</span><b>${plain(pairs[name])}</b></li>`)}
  </ul>`;
}

/** How much of a worker's capacity is used. */
export function Load({ ratio }) {
  const part = Math.max(0, Math.min(1, ratio ?? 0));
  return html`<span class="load">
    <svg viewBox="0 0 40 6" aria-hidden="true" preserveAspectRatio="none">
      <rect class="rail" width="40" height="6" rx="3" /><rect class="fill" width=${40 * part} height="6" rx="3" />
    </svg>
    <span class="figure">${percent(part)}</span>
  </span>`;
}

/** A line of how many waited over the last minutes, as this page has seen it. */
export function Sparkline({ points, name }) {
  const width = 96;
  const height = 24;
  if (points.length < 2) return html`<svg class="spark" viewBox="0 0 ${width} ${height}" aria-hidden="true"><path class="flat" d="M0 ${height - 1.5}H${width}" /></svg>`;
  const from = points[0][0];
  const most = Math.max(4, ...points.map(([, value]) => value));
  const x = (at) => ((at - from) / Math.max(1, points.at(-1)[0] - from)) * width;
  const y = (value) => height - 1.5 - (value / most) * (height - 4);
  const line = points.map(([at, value], index) => `${index ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  const words = `${name}: ${number(points[0][1])} to ${number(points.at(-1)[1])} waiting, at most ${number(Math.max(...points.map(([, value]) => value)))}, since the page was opened`;
  return html`<svg class="spark" viewBox="0 0 ${width} ${height}" role="img" aria-label=${words}>
    <path class="area" d="${line}L${width} ${height}L${x(points[0][0]).toFixed(1)} ${height}Z" /><path class="line" d=${line} />
  </svg>`;
}

export function Empty({ title, children }) {
  return html`<div class="empty"><p>${title}</p>${children && html`<p class="quiet">${children}</p>`}</div>`;
}

export function Loading({ what }) {
  return html`<div class="loading" role="status"><span class="bars" aria-hidden="true"><i></i><i></i><i></i></span>Reading ${what}…</div>`;
}

/** Why something is not shown. */
export function Failed({ error, what }) {
  const gone = error.status === 404;
  const refused = error.status === 403;
  const title = gone ? `${what} is not there.` : refused ? `Your rights do not show ${what.toLowerCase()}.` : `${what} could not be read.`;
  return html`<div class="empty" role="status">
    <p><${Icon} name=${gone ? "search" : "warn"} /> ${title}</p>
    <p class="quiet">${gone ? "It may have been deleted, or its id may be written otherwise." : error.message}</p>
  </div>`;
}

/** A list that begins with `first` rows and shows more when asked. */
export function more(items, shown, show, step = 100) {
  if (items.length <= shown) return null;
  return html`<p class="more"><button type="button" class="plain" onClick=${() => show(shown + step)}>
    Show ${number(Math.min(step, items.length - shown))} more of ${number(items.length - shown)}
  </button></p>`;
}
