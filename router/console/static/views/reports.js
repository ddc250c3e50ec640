// How queues and workers did over a day, a week or a month, beside the same days a week before.

import { download, everyItem } from "../api.js";
import { dayAndMonth, duration, hourAndMinute, number, percent } from "../format.js";
import { Plot } from "../plot.js";
import { before, dayOf, dayText, held, heldTooSeldom, inTime, mean, occupied, queryOf, read, spanOf } from "../report.js";
import { link, refine } from "../route.js";
import { useSession } from "../session.js";
import { useLive, useResource } from "../store.js";
import { Empty, Failed, html, Icon, Loading, more, WorkerLink } from "../ui.js";
import { useState } from "../vendor/hooks.js";

const EVERY_MS = 60_000;
const DAY_MS = 86_400_000;
const seconds = (value) => duration(Math.round(value));
const UNITS = new Map([[number, "count"], [percent, "part"], [seconds, "seconds"]]);
const COLUMNS = {
  queues: [
    { name: "Offered", of: (sum) => sum.offered ?? 0, show: number, wide: true },
    { name: "Assigned", of: (sum) => sum.assigned ?? 0, show: number, compared: true },
    { name: "Gave up", of: (sum) => sum.cancelledWhileWaiting ?? 0, show: number },
    { name: "In time", of: inTime, show: percent, compared: true },
    { name: "Wait", of: (sum) => mean(sum, "wait"), show: seconds, compared: true },
    { name: "Longest wait", of: (sum) => (sum.waitCount ? sum.waitMax : null), show: seconds, wide: true },
    { name: "Handling", of: (sum) => mean(sum, "handle"), show: seconds, wide: true },
    { name: "Longest line", of: (sum) => sum.longestLine ?? 0, show: number, wide: true },
    { name: "Told wait held", of: held, show: percent, wide: true },
  ],
  workers: [
    { name: "Offered", of: (sum) => sum.offered ?? 0, show: number, wide: true },
    { name: "Accepted", of: (sum) => sum.accepted ?? 0, show: number, compared: true },
    { name: "Declined", of: (sum) => sum.declined ?? 0, show: number },
    { name: "Expired", of: (sum) => sum.expired ?? 0, show: number, wide: true },
    { name: "Completed", of: (sum) => sum.completed ?? 0, show: number, compared: true },
    { name: "Available", of: (sum) => sum.availableSeconds ?? 0, show: seconds },
    { name: "At work", of: (sum) => sum.busySeconds ?? 0, show: seconds, compared: true },
    { name: "Wrap-up", of: (sum) => sum.wrapUpSeconds ?? 0, show: seconds, wide: true },
    { name: "Occupied", of: occupied, show: percent, wide: true },
  ],
};
const PLOTS = { queues: ["Assigned", "In time", "Wait"], workers: ["Completed", "At work"] };
const ONE = { queues: "queue", workers: "worker" };

export function Reports({ route }) {
  const { settings } = useSession();
  if (!settings) return html`<${Loading} what="the report" />`;
  if (!settings.history) return html`<h1>Reports</h1><${Empty} title="This router keeps no history, so there are no reports.">ROUTER_HISTORY_DAYS is 0.<//>`;
  return html`<${Asked} route=${route} />`;
}

function Asked({ route }) {
  const { snapshot } = useLive();
  const { id = "", on = "", compare = "" } = route.filters;
  const of = route.filters.of === "workers" ? "workers" : "queues";
  const span = ["week", "month"].includes(route.filters.span) ? route.filters.span : "day";
  const last = dayOf(on);
  const asked = spanOf(span, last);
  const { value, error } = useResource([of, span, dayText(last), id, compare].join(" "), async (signal) => {
    const [now, then] = await Promise.all([read(of, asked, id, signal), compare ? null : read(of, before(asked), id, signal)]);
    return { now, then };
  }, EVERY_MS);
  const ago = asked.back === 7 ? "a week before" : "four weeks before";
  const named = (one) => (of === "queues" && snapshot?.queues.find((queue) => queue.id === one)?.name) || one;
  return html`
    <header class="head"><div><h1>Reports</h1><p class="quiet">${asked.grain === "1h" ? dayAndMonth(asked.from) : `${dayAndMonth(asked.from)} to ${dayAndMonth(last)}`}, by ${asked.grain === "1h" ? "hour" : "day"}. Up to date within a minute.</p></div>
      <div class="acts"><${Csv} of=${of} asked=${asked} id=${id} /></div></header>
    <div class="filters" role="search" aria-label="What is reported">
      <${Choice} id="of" name="Of" value=${of} choices=${[["queues", "Queues"], ["workers", "Workers"]]} choose=${(chosen) => refine(route, { of: chosen === "queues" ? "" : chosen, id: "" })} />
      <${Choice} id="span" name="Over" value=${span} choices=${[["day", "A day"], ["week", "A week"], ["month", "A month"]]} choose=${(chosen) => refine(route, { span: chosen === "day" ? "" : chosen })} />
      <label class="choice">${span === "day" ? "On" : "Up to"}
        <input id="on" type="date" value=${dayText(last)} max=${dayText(new Date())} onChange=${(event) => refine(route, { on: event.target.value === dayText(new Date()) ? "" : event.target.value })} />
      </label>
      <label class="choice"><input id="compare" type="checkbox" checked=${!compare} onChange=${(event) => refine(route, { compare: event.target.checked ? "" : "no" })} />Compare with ${ago}</label>
      ${id && html`<a class="chip" href=${link("reports", "", { ...route.filters, id: "" })} aria-label="Show all ${of}, not only ${named(id)}">${named(id)}<${Icon} name="cross" /></a>`}
    </div>
    ${error && !value ? html`<${Failed} error=${error} what="The report" />` : !value ? html`<${Loading} what="the report" />` : html`<${Shown} ...${{ value, of, asked, id, ago, route, named }} />`}
  `;
}

function Choice({ id, name, value, choices, choose }) {
  return html`<label class="choice">${name}
    <select id=${id} value=${value} onChange=${(event) => choose(event.target.value)}>${choices.map(([one, words]) => html`<option key=${one} value=${one} selected=${one === value}>${words}</option>`)}</select>
  </label>`;
}

function Shown({ value: { now, then }, of, asked, id, ago, route, named }) {
  if (!now.byId.size && !then?.byId.size) return html`<${Empty} title="Nothing happened on these days." />`;
  const columns = COLUMNS[of];
  const plots = columns.filter((column) => PLOTS[of].includes(column.name));
  const wrong = [...now.byId].filter(([, sum]) => heldTooSeldom(sum));
  const words = (slot) => (asked.grain === "1h" ? hourAndMinute(slot) : dayAndMonth(slot));
  return html`
    ${now.cut && html`<p class="quiet"><${Icon} name="warn" /> Only a part is added up here. Choose one ${ONE[of]}, or fewer days.</p>`}
    ${wrong.map(([one, sum]) => html`<p key=${one} class="quiet held"><${Icon} name="warn" /> ${named(one)}: of ${number(sum.waitsTold)} jobs that were told a wait it held for only ${percent(held(sum))}.</p>`)}
    <div class="plots">${plots.map((column) => html`<${PlotOf} key=${column.name} ...${{ column, now, then, words, ago }} />`)}</div>
    <${ById} ...${{ now, then, of, columns, id, route, named, ago }} />
    <${BySlot} ...${{ now, then, columns, words, ago, grain: asked.grain }} />
    ${of === "queues" && html`<${Shadows} ...${{ asked, id }} />`}
    <${WhatIf} asked=${asked} />
  `;
}

/** What queues' candidate policies would have done. It is known the morning after, so the day before is shown as well. */
function Shadows({ asked, id }) {
  const query = { from: new Date(asked.from.getTime() - DAY_MS).toISOString(), to: asked.to.toISOString(), queueId: id };
  const { value } = useResource(["shadows", query.from, query.to, id].join(" "), (signal) => everyItem("/routing/reports/shadows", { query, signal }), EVERY_MS);
  if (!value?.length) return null;
  return html`<section class="card" aria-labelledby="shadows-title">
    <h2 id="shadows-title">Shadow policies <small>${number(value.length)}</small></h2>
    <p class="quiet">What the candidates that queues name would have done to these days and the one before.</p>
    <ul class="shadows">${value.map((one) => html`<li key=${one.from + one.queueId} data-queue=${one.queueId}>
      <b>${dayAndMonth(new Date(one.from))}</b> ${one.notPredicted ? `${one.queueId} with ${one.candidatePolicyId}: not predicted. ${one.notPredicted}` : one.sentence}
    </li>`)}</ul>
  </section>`;
}

/** A replay takes a second of processor time for every thousand jobs, ten times over: too much for a page that is kept open. */
function WhatIf({ asked: { from, to, grain } }) {
  const time = (date) => date.toISOString().replace(".000Z", "Z");
  return html`<details class="card what-if">
    <summary>What if?</summary>
    <p>How these days would have gone with another policy or another team, beside how they went. These commands say it, on a machine with the router's folder:</p>
    <pre tabindex="0" role="region" aria-label="Commands">${`jobrouter export history --from ${time(from)} --to ${time(to)} days.ndjson
jobrouter whatif --history days.ndjson --search team
jobrouter whatif --history days.ndjson --change change.json --html what-if.html`}</pre>
    <p class="quiet">The first finds whom to add; what a change may say is in the router's documents, under What if. Begin and end when nobody waits${grain === "1h" ? "" : "; days one by one are played sooner"}.</p>
  </details>`;
}

function Heads({ columns }) {
  return columns.map((column) => html`<th key=${column.name} scope="col" class="number ${column.wide ? "wide" : ""}">${column.name}</th>`);
}

/** `past`: the sum that it is compared with, if it is. */
function Cells({ columns, sum, past }) {
  const shown = (column, one) => {
    const value = column.of(one);
    return value === null ? html`<span class="none">–</span>` : column.show(value);
  };
  return columns.map((column) => html`<td key=${column.name} class="number ${column.wide ? "wide" : ""}">${shown(column, sum)}
    ${past && column.compared && html`<span class="sub"><span class="visually-hidden">before: </span>${shown(column, past)}</span>`}</td>`);
}

const Below = ({ then, ago }) => then && html`<p class="quiet">Below in small: ${ago}.</p>`;

function ById({ now, then, of, columns, id, route, named, ago }) {
  const [shown, show] = useState(100);
  const ids = [...new Set([...now.byId.keys(), ...(then?.byId.keys() ?? [])])].sort((one, other) => named(one).localeCompare(named(other)));
  const title = of === "queues" ? "Queues" : "Workers";
  return html`<section class="card" aria-labelledby="by-id-title">
    <h2 id="by-id-title">${title} <small>${number(ids.length)}</small></h2>
    <${Below} then=${then} ago=${ago} />
    <div class="scroll" role="region" aria-labelledby="by-id-title" tabindex="0"><table>
      <thead><tr><th scope="col">${title.slice(0, -1)}</th><${Heads} columns=${columns} /></tr></thead>
      <tbody>
        ${ids.slice(0, shown).map((one) => html`<tr key=${one} data-id=${one} data-chosen=${one === id}>
          <th scope="row"><a href=${link("reports", "", { ...route.filters, id: one === id ? "" : one })} aria-current=${one === id ? "true" : undefined}>${named(one)}</a>${of === "workers" && html` <span class="sub">Now: <${WorkerLink} id=${one} /></span>`}</th>
          <${Cells} columns=${columns} sum=${now.byId.get(one) ?? {}} past=${then && (then.byId.get(one) ?? {})} />
        </tr>`)}
        ${ids.length > 1 && html`<tr class="all"><th scope="row">All</th><${Cells} columns=${columns} sum=${now.all} past=${then?.all} /></tr>`}
      </tbody>
    </table></div>${more(ids, shown, show)}
  </section>`;
}

function BySlot({ now, then, columns, words, ago, grain }) {
  const had = (sum) => sum && Object.keys(sum).length > 0;
  const lines = now.slots.map((slot, index) => ({ slot, sum: now.bySlot[index], past: then && (then.bySlot[index] ?? {}) })).filter((line) => had(line.sum) || had(line.past));
  return html`<section class="card" aria-labelledby="by-slot-title">
    <h2 id="by-slot-title">By ${grain === "1h" ? "hour" : "day"}</h2>
    <${Below} then=${then} ago=${ago} />
    <div class="scroll" role="region" aria-labelledby="by-slot-title" tabindex="0"><table>
      <thead><tr><th scope="col">${grain === "1h" ? "Hour" : "Day"}</th><${Heads} columns=${columns} /></tr></thead>
      <tbody>${lines.map(({ slot, sum, past }) => html`<tr key=${slot.getTime()}><th scope="row">${words(slot)}</th><${Cells} columns=${columns} sum=${sum} past=${past} /></tr>`)}</tbody>
    </table></div>
  </section>`;
}

/** Bars, and a dashed line for the days before. The tables below tell the same in figures. */
function PlotOf({ column, now, then, words, ago }) {
  const values = now.bySlot.map(column.of);
  const past = then && now.slots.map((_, index) => (then.bySlot[index] ? column.of(then.bySlot[index]) : null));
  const whole = (sum) => (column.of(sum) === null ? "nothing" : column.show(column.of(sum)));
  const told = `${column.name}: ${whole(now.all)}${then ? `; ${ago}: ${whole(then.all)}` : ""}`;
  return html`<figure class="card plot">
    <figcaption><b>${column.name}</b> <span class="figure">${whole(now.all)}</span>${then && html` <span class="quiet">${ago}: ${whole(then.all)}</span>`}</figcaption>
    <${Plot} ...${{ told, values, past, names: now.slots.map(words), show: column.show, unit: UNITS.get(column.show), pastName: ago }} />
  </figure>`;
}

function Csv({ of, asked, id }) {
  const [state, tell] = useState("");
  const save = async () => {
    tell("Reading…");
    try {
      await download(`/routing/reports/${of}`, { ...queryOf(of, asked, id), format: "csv" }, `${of}-${dayText(asked.from)}.csv`);
      tell("");
    } catch (error) {
      tell(error.message);
    }
  };
  return html`<button type="button" id="csv" onClick=${save}><${Icon} name="down" />Download CSV</button><span class="quiet" role="status">${state}</span>`;
}
