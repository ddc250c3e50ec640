// Queues and policies to read, with the references between them drawn. They are changed with the API and the command.

import { everyItem } from "../api.js";
import { number } from "../format.js";
import { link, refine } from "../route.js";
import { useResource } from "../store.js";
import { Failed, html, Loading } from "../ui.js";
import { useEffect, useRef, useState } from "../vendor/hooks.js";

const KINDS = [
  ["classificationPolicies", "Classification policies", "classification policy"],
  ["queues", "Queues", "queue"],
  ["distributionPolicies", "Distribution policies", "distribution policy"],
  ["exceptionPolicies", "Exception policies", "exception policy"],
];
/** Side by side: what a queue names stands in one column, so that no line passes behind another policy. */
const COLUMNS = [[0], [1], [2, 3]].map((places) => places.map((place) => KINDS[place]));
const EVERY_MS = 15_000;
/** How far lines reach beside a column; the style leaves room for that. */
const ASIDE = 44;

export function Settings({ route }) {
  const { value, error } = useResource("settings", async (signal) => {
    const lists = await Promise.all(KINDS.map(([kind]) => everyItem(`/routing/${kind}`, { signal })));
    return Object.fromEntries(KINDS.map(([kind], index) => [kind, lists[index].sort((one, other) => one.id.localeCompare(other.id))]));
  }, EVERY_MS);
  if (error && !value) return html`<${Failed} error=${error} what="The settings" />`;
  if (!value) return html`<${Loading} what="the settings" />`;
  const edges = references(value);
  const chosen = route.filters.of ?? "";
  const touching = new Set(chosen ? edges.flatMap(([from, to]) => (from === chosen || to === chosen ? [from, to] : [])) : []);
  const [kind, ...rest] = chosen.split("/");
  const resource = value[kind]?.find((one) => one.id === rest.join("/"));
  return html`
    <header class="head"><div><h1>Settings</h1><p class="quiet">To read. They are changed with the API, the command line or configuration files.</p></div></header>
    <${Map} value=${value} edges=${edges} chosen=${chosen} touching=${touching} choose=${(of) => refine(route, { of: of === chosen ? "" : of })} />
    ${resource && html`<${Resource} resource=${resource} kind=${kind} edges=${edges} name=${chosen} />`}
  `;
}

function Map({ value, edges, chosen, touching, choose }) {
  const box = useRef(null);
  const [lines, draw] = useState([]);
  useEffect(() => {
    const frame = box.current;
    const place = () => frame.isConnected && draw(drawn(frame, edges));
    const watch = new ResizeObserver(place);
    watch.observe(frame);
    place();
    return () => watch.disconnect();
  }, [edges.map((edge) => edge.join()).join()]);
  return html`<section class="card scroll" role="region" tabindex="0" aria-label="Queues and policies, and which names which">
    <div class="map" ref=${box}>
      <svg class="edges" aria-hidden="true">${lines.map(([from, to, shape]) => html`<path key=${`${from} ${to}`} d=${shape} data-lit=${from === chosen || to === chosen} data-dim=${Boolean(chosen) && from !== chosen && to !== chosen} />`)}</svg>
      ${COLUMNS.map((kinds, place) => html`<div class="column" key=${place}>
        ${kinds.map(([kind, title]) => html`<section key=${kind} aria-labelledby="kind-${kind}">
          <h2 id="kind-${kind}">${title} <small>${number(value[kind].length)}</small></h2>
          ${!value[kind].length && html`<p class="none">None</p>`}
          <ul>${value[kind].map((one) => {
            const name = `${kind}/${one.id}`;
            return html`<li key=${one.id}><button type="button" class="node" data-name=${name} aria-pressed=${name === chosen} data-dim=${Boolean(chosen) && name !== chosen && !touching.has(name)} onClick=${() => choose(name)}>
              <b>${one.name || one.id}</b><span>${one.name && one.name !== one.id ? one.id : told(kind, one)}</span>
            </button></li>`;
          })}</ul>
        </section>`)}
      </div>`)}
    </div>
  </section>`;
}

function Resource({ resource, kind, edges, name }) {
  const word = KINDS.find(([one]) => one === kind)[2];
  const uses = edges.filter(([from]) => from === name).map(([, to]) => to);
  const used = edges.filter(([, to]) => to === name).map(([from]) => from);
  const { etag, ...shown } = resource;
  return html`<section class="card" aria-labelledby="chosen-title">
    <h2 id="chosen-title">${resource.name || resource.id} <small>${word}</small></h2>
    <dl class="details">
      <dt>Names</dt><dd><${Named} names=${uses} /></dd>
      <dt>Named by</dt><dd><${Named} names=${used} /></dd>
    </dl>
    <pre tabindex="0" aria-label="The ${word} as the API answers it">${JSON.stringify(shown, null, 2)}</pre>
  </section>`;
}

function Named({ names }) {
  if (!names.length) return html`<span class="none">Nothing</span>`;
  return names.map((name, place) => html`${place > 0 && ", "}<a key=${name} href=${link("settings", "", { of: name })}>${idOf(name)}</a>`);
}

const idOf = (name) => name.slice(name.indexOf("/") + 1);

function told(kind, one) {
  if (kind === "distributionPolicies") return one.mode?.kind ?? "";
  if (kind === "exceptionPolicies") return `${number((one.exceptionRules ?? []).length)} rules`;
  if (kind === "queues") return Object.entries(one.labels ?? {}).filter(([key]) => key !== "Id").map(([key, value]) => `${key} ${value}`).join(", ");
  return one.fallbackQueueId ? `else ${one.fallbackQueueId}` : "";
}

/** Which resource names which, as pairs of "kind/id"; each pair once, and only where both are there. */
export function references(value) {
  const pairs = [];
  for (const queue of value.queues) {
    const name = `queues/${queue.id}`;
    if (queue.distributionPolicyId) pairs.push([name, `distributionPolicies/${queue.distributionPolicyId}`]);
    if (queue.exceptionPolicyId) pairs.push([name, `exceptionPolicies/${queue.exceptionPolicyId}`]);
  }
  for (const policy of value.classificationPolicies) {
    const name = `classificationPolicies/${policy.id}`;
    if (policy.fallbackQueueId) pairs.push([name, `queues/${policy.fallbackQueueId}`]);
    for (const attachment of policy.queueSelectorAttachments ?? []) {
      const selectors = attachment.queueSelectors ?? (attachment.queueSelector ? [attachment.queueSelector] : []);
      for (const queue of value.queues) {
        if (selectors.length && selectors.every((one) => one.labelOperator === "equal" && queue.labels?.[one.key] === one.value)) pairs.push([name, `queues/${queue.id}`]);
      }
    }
  }
  for (const policy of value.exceptionPolicies) {
    for (const action of (policy.exceptionRules ?? []).flatMap((rule) => rule.actions ?? [])) {
      const name = `exceptionPolicies/${policy.id}`;
      if (action.queueId) pairs.push([name, `queues/${action.queueId}`]);
      if (action.classificationPolicyId) pairs.push([name, `classificationPolicies/${action.classificationPolicyId}`]);
    }
  }
  const there = new Set(KINDS.flatMap(([kind]) => value[kind].map((one) => `${kind}/${one.id}`)));
  const seen = new Set();
  return pairs.filter((pair) => there.has(pair[0]) && there.has(pair[1]) && !seen.has(pair.join(" ")) && seen.add(pair.join(" ")));
}

function drawn(box, edges) {
  const frame = box.getBoundingClientRect();
  const places = new globalThis.Map([...box.querySelectorAll(".node")].map((node) => [node.dataset.name, node.getBoundingClientRect()]));
  return edges.flatMap(([from, to]) => {
    const one = places.get(from);
    const other = places.get(to);
    if (!one || !other) return [];
    const y = one.top + one.height / 2 - frame.top;
    const v = other.top + other.height / 2 - frame.top;
    if (one.left === other.left) {
      // One above the other, as on a phone: beside them.
      const side = one.right - frame.left;
      return [[from, to, `M${side} ${y}C${side + ASIDE} ${y} ${side + ASIDE} ${v} ${side} ${v}`]];
    }
    const ahead = one.left < other.left;
    const x = (ahead ? one.right : one.left) - frame.left;
    const u = (ahead ? other.left : other.right) - frame.left;
    const bend = Math.max(24, Math.abs(u - x) / 2) * (ahead ? 1 : -1);
    return [[from, to, `M${x} ${y}C${x + bend} ${y} ${u - bend} ${v} ${u} ${v}`]];
  });
}
