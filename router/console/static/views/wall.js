// For a screen on the wall: large figures, nothing to click.

import { duration, hourAndMinute, number, percent, secondsSince } from "../format.js";
import { connection, useLive, useNow } from "../store.js";
import { Failed, html, Icon, Loading } from "../ui.js";

const SHOWN = 12;

export function Wall() {
  const { snapshot, refused } = useLive();
  const now = useNow();
  const { state, quiet } = connection();
  if (refused) return html`<main id="main" class="wall"><${Failed} error=${refused} what="The floor" /></main>`;
  if (!snapshot) return html`<main id="main" class="wall"><${Loading} what="what waits" /></main>`;
  const { totals } = snapshot;
  const urgent = [...snapshot.queues].sort((one, other) => other.waiting - one.waiting || (one.oldestEnqueuedAt ?? "9").localeCompare(other.oldestEnqueuedAt ?? "9") || (one.name || one.id).localeCompare(other.name || other.id));
  const oldest = urgent.map((queue) => queue.oldestEnqueuedAt).filter(Boolean).sort()[0];
  const silent = state === "stale" || state === "offline";
  return html`<main id="main" class="wall" data-quiet=${silent}>
    <h1 class="visually-hidden">Wallboard</h1>
    <dl class="figures">
      <div><dt>Waiting</dt><dd>${number(totals.waiting)}</dd></div>
      <div><dt>Longest wait</dt><dd>${oldest ? duration(secondsSince(oldest, now)) : "–"}</dd></div>
      <div><dt>Available</dt><dd>${number(totals.workersAvailable)}</dd></div>
      <div><dt>At work</dt><dd>${number(totals.workersBusy)}</dd></div>
    </dl>
    <ul class="tiles" data-few=${urgent.length <= 6}>${urgent.slice(0, SHOWN).map((queue) => html`<li key=${queue.id} data-waiting=${queue.waiting > 0}>
      <h2>${queue.name || queue.id}</h2>
      <p><b>${number(queue.waiting)}</b><span>waiting${queue.oldestEnqueuedAt ? html`<br />${duration(secondsSince(queue.oldestEnqueuedAt, now))}` : ""}</span></p>
      <p class="foot"><span>${number(queue.workersAvailable)} available</span>${queue.serviceLevel && html`<span>${percent(queue.serviceLevel.percent / 100)} in time</span>`}
        ${queue.waiting > 0 && queue.workersAvailable + queue.workersBusy === 0 && html`<span class="warn"><${Icon} name="warn" />Nobody is there</span>`}</p>
    </li>`)}</ul>
    <p class="clock">${silent ? html`<b class="warn"><${Icon} name="warn" />No answer for ${duration(quiet)}</b>` : ""}${urgent.length > SHOWN ? html`<span>${number(urgent.length - SHOWN)} more queues</span>` : ""}<time>${hourAndMinute(now)}</time></p>
  </main>`;
}
