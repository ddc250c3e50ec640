// Who changed which policy or queue, with what it was before and after.

import { everyItem } from "../api.js";
import { plain } from "../format.js";
import { refine } from "../route.js";
import { useSession } from "../session.js";
import { useResource } from "../store.js";
import { byWhom } from "../timeline.js";
import { Empty, Failed, html, Icon, Loading, more, When } from "../ui.js";
import { useMemo, useState } from "../vendor/hooks.js";

const EVERY_MS = 15_000;
const MOST = 1000;
const DAYS = { 1: "A day", 7: "A week", 30: "30 days", 400: "All" };
const KINDS = { Queue: "queue", DistributionPolicy: "distribution policy", ClassificationPolicy: "classification policy", ExceptionPolicy: "exception policy" };
const DONE = { created: "Created", updated: "Changed", deleted: "Deleted" };

export function Changes({ route }) {
  const { settings } = useSession();
  if (!settings) return html`<${Loading} what="changes" />`;
  if (!settings.history) return html`<h1>Changes</h1><${Empty} title="This router keeps no history, so it tells of no changes.">ROUTER_HISTORY_DAYS is 0.<//>`;
  return html`<${Listed} route=${route} />`;
}

function Listed({ route }) {
  const { kind = "", id = "" } = route.filters;
  const days = DAYS[route.filters.days] ? route.filters.days : "7";
  const [shown, show] = useState(50);
  const { value, error } = useResource(`${kind} ${days}`, async (signal) => {
    const from = new Date(Date.now() - Number(days) * 86_400_000).toISOString();
    const found = await everyItem("/routing/changes", { query: { from, kind, maxpagesize: 100 }, signal, limit: MOST });
    return { all: found.reverse(), cut: found.length >= MOST };
  }, EVERY_MS);
  const fitting = useMemo(() => (value?.all ?? []).filter((one) => one.id.toLowerCase().includes(id.toLowerCase())), [value, id]);
  return html`
    <header class="head"><div><h1>Changes</h1><p class="quiet">Of queues and policies, the newest first. Secrets are not shown.</p></div></header>
    <div class="filters" role="search" aria-label="Which changes">
      <label class="search"><span class="visually-hidden">Find an id</span><${Icon} name="search" />
        <input id="find" type="search" placeholder="Find an id" value=${id} autocomplete="off" spellcheck="false" onInput=${(event) => refine(route, { id: event.target.value })} /></label>
      <label class="choice">Of <select id="kind" value=${kind} onChange=${(event) => refine(route, { kind: event.target.value })}>
        <option value="">Everything</option>${Object.entries(KINDS).map(([one, words]) => html`<option key=${one} value=${one} selected=${one === kind}>${words}</option>`)}</select></label>
      <label class="choice">Last <select id="days" value=${days} onChange=${(event) => refine(route, { days: event.target.value === "7" ? "" : event.target.value })}>
        ${Object.entries(DAYS).map(([one, words]) => html`<option key=${one} value=${one} selected=${one === days}>${words}</option>`)}</select></label>
    </div>
    ${error && !value ? html`<${Failed} error=${error} what="Changes" />` : !value ? html`<${Loading} what="changes" />` : html`
      ${value.cut && html`<p class="quiet"><${Icon} name="warn" /> Only the oldest ${MOST} of these days are here. Choose fewer days.</p>`}
      ${!fitting.length ? html`<${Empty} title=${value.all.length ? "No change fits what you look for." : "Nothing was changed."} />` : html`<ol class="changes">${fitting.slice(0, shown).map((one) => html`<li key=${one.eventId} class="card" data-change=${one.id}><${Change} change=${one} /></li>`)}</ol>`}
      ${more(fitting, shown, show, 50)}`}
  `;
}

function Change({ change }) {
  const lines = differences(change.before, change.after);
  const whom = byWhom(change.actor);
  return html`
    <h2>${DONE[change.what] ?? change.what} <small>${KINDS[change.kind] ?? change.kind}</small> ${change.after?.name || change.before?.name || change.id}</h2>
    <p class="quiet">${change.id} · <${When} at=${change.at} />${whom && ` · ${whom}`}</p>
    ${change.secretsChanged && html`<p>Only secrets were changed.</p>`}
    ${change.tooLong && html`<p class="quiet">Too long to be kept: ${change.tooLong.join(", ")}.</p>`}
    ${change.what === "updated" && lines.length > 0 && html`<div class="scroll" role="region" tabindex="0" aria-label="What was changed of ${change.id}"><table>
      <thead><tr><th scope="col">Field</th><th scope="col">Before</th><th scope="col">After</th></tr></thead>
      <tbody>${lines.map(([name, was, is]) => html`<tr key=${name}><th scope="row">${name}</th><td><${Value} of=${was} /></td><td><${Value} of=${is} /></td></tr>`)}</tbody>
    </table></div>`}
    ${change.what !== "updated" && (change.after ?? change.before) && html`<details><summary>${change.after ? "As it was made" : "As it was"}</summary><pre tabindex="0" aria-label="${change.id} as JSON">${JSON.stringify(change.after ?? change.before, null, 2)}</pre></details>`}
  `;
}

const Value = ({ of }) => (of === undefined ? html`<span class="none">–</span>` : html`<span class="value">${typeof of === "object" && of !== null ? JSON.stringify(of) : of === null ? "null" : plain(of)}</span>`);

/** What differs, as [path, before, after]; lists are compared as a whole. */
export function differences(was, is, path = "") {
  const isPlain = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  if (isPlain(was) && isPlain(is)) {
    const names = [...new Set([...Object.keys(was), ...Object.keys(is)])].filter((name) => path || name !== "etag");
    return names.flatMap((name) => differences(was[name], is[name], path ? `${path}.${name}` : name));
  }
  return !path || JSON.stringify(was) === JSON.stringify(is) ? [] : [[path, was, is]];
}
