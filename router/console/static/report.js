// Reports as they are asked for and added up: spans of local days, slots, sums, and the same a week before.

import { everyItem } from "./api.js";

export const SPANS = { day: 1, week: 7, month: 28 };
const MOST_ROWS = 20_000;
export const ZONE = new Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

/** "2026-11-29" of a local day. */
export function dayText(date) {
  const two = (value) => String(value).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** Local midnight of such a text, today's where it is none. */
export function dayOf(text) {
  const [, year, month, day] = /^(\d{4})-(\d\d)-(\d\d)$/.exec(text ?? "") ?? [];
  const found = year ? new Date(Number(year), month - 1, day) : new Date();
  return new Date(found.getFullYear(), found.getMonth(), found.getDate());
}

const daysFrom = (date, days) => new Date(date.getFullYear(), date.getMonth(), date.getDate() + days);

/** The days up to `last`, and how far back the same weekdays are that it is compared with. */
export function spanOf(span, last) {
  const days = SPANS[span] ?? 1;
  return { from: daysFrom(last, 1 - days), to: daysFrom(last, 1), grain: days === 1 ? "1h" : "1d", back: Math.max(7, days) };
}

export const before = (asked) => ({ ...asked, from: daysFrom(asked.from, -asked.back), to: daysFrom(asked.to, -asked.back) });

/** The beginnings of its slots. */
export function slotsOf({ from, to, grain }) {
  const found = [];
  for (let at = from; at < to; at = grain === "1h" ? new Date(at.getTime() + 3_600_000) : daysFrom(at, 1)) found.push(at);
  return found;
}

const idName = (of) => (of === "workers" ? "workerId" : "queueId");

export const queryOf = (of, asked, id) => ({ from: asked.from.toISOString(), to: asked.to.toISOString(), grain: asked.grain, tz: ZONE, [idName(of)]: id });

/** Sums by id, sums by slot, and one of all. */
export async function read(of, asked, id, signal) {
  const rows = await everyItem(`/routing/reports/${of}`, { query: { ...queryOf(of, asked, id), maxpagesize: 1000 }, signal, limit: MOST_ROWS });
  const slots = slotsOf(asked);
  const places = new Map(slots.map((slot, index) => [slot.getTime(), index]));
  const byId = new Map();
  const bySlot = slots.map(() => ({}));
  const all = {};
  for (const row of rows) {
    const key = row[idName(of)];
    if (!byId.has(key)) byId.set(key, {});
    const slot = bySlot[places.get(Date.parse(row.from))];
    for (const sum of [byId.get(key), slot, all]) if (sum) add(sum, row);
  }
  return { slots, byId, bySlot, all, cut: rows.length >= MOST_ROWS };
}

const HIGHEST = /Max$|^longestLine$/;
const NOT_SUMMED = /P\d\d$|Percent$|^serviceLevel|^servicelevel/;

function add(sum, row) {
  for (const [name, value] of Object.entries(row)) {
    if (typeof value !== "number" || NOT_SUMMED.test(name)) continue;
    sum[name] = HIGHEST.test(name) ? Math.max(sum[name] ?? 0, value) : (sum[name] ?? 0) + value;
  }
}

const share = (part, whole) => (whole > 0 ? (part ?? 0) / whole : null);

/** Served within the threshold, of all who were served or gave up; null if there were none. */
export const inTime = (sum) => share(sum.servedWithinThreshold, (sum.waitCount ?? 0) + (sum.abandonCount ?? 0));
/** Of jobs that were told a wait, for how many it held; null if none was told one. */
export const held = (sum) => share(sum.waitsHeld, sum.waitsTold);
/** As the router says it of a slot (docs/waiting.md). */
export const heldTooSeldom = (sum) => sum.waitsTold >= 20 && held(sum) < 0.7;
export const mean = (sum, name) => share(sum[`${name}Sum`], sum[`${name}Count`]);
export const occupied = (sum) => (sum.availableSeconds > 0 ? Math.min(1, share((sum.busySeconds ?? 0) + (sum.wrapUpSeconds ?? 0), sum.availableSeconds)) : null);
