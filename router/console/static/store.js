// What is seen of the router: the live snapshot, read every two seconds while the page can be seen, and single
// resources beside it.

import { contact, isFinal, Refusal, request } from "./api.js";
import { signOut } from "./session.js";
import { useEffect, useLayoutEffect, useRef, useState } from "./vendor/hooks.js";

export const EVERY_MS = 2000;
const LEAST_PAUSE_MS = 500;
const STALE_MS = 10_000;
/** What failed is asked for again so soon, also where it is read rarely else. */
const AGAIN_MS = 5000;
const STEP_MS = 5000;
const KEEP_MS = 15 * 60_000;

/** `refused` is the router's refusal to show the floor; `error` a failure that may pass, in spite of which `snapshot` stays. */
const live = { snapshot: null, refused: null, error: null, since: Date.now() };
/** How many waited in each queue, as seen from here: id to points of [time, waiting]. */
const past = new Map();
const followers = new Set();
let etag = null;
let timer = null;
let running = false;
let asking = null;

export function useLive() {
  const [, redraw] = useState(0);
  useLayoutEffect(() => {
    const follow = () => redraw((count) => count + 1);
    followers.add(follow);
    return () => followers.delete(follow);
  }, []);
  return live;
}

export const pointsOf = (queueId) => past.get(queueId) ?? [];

export function start() {
  if (running) return;
  running = true;
  live.since = Date.now();
  soon();
}

export function stop() {
  running = false;
  clearTimeout(timer);
  asking?.abort();
  asking = null;
  etag = null;
  past.clear();
  Object.assign(live, { snapshot: null, refused: null, error: null });
}

/** Ask now, not only when it is time: something was done, or the page is seen again. */
export function soon() {
  clearTimeout(timer);
  if (running && !document.hidden && !asking) timer = setTimeout(ask);
}

document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : soon()));
addEventListener("online", soon);

async function ask() {
  const control = new AbortController();
  asking = control;
  const began = Date.now();
  let pause = EVERY_MS;
  try {
    const known = live.snapshot;
    const query = { since: known && !known.paged ? known.at : undefined };
    const answer = await request("GET", "/routing/live", { query, ifNoneMatch: etag, signal: control.signal });
    if (answer.status !== 304) {
      live.snapshot = await whole(answer.body, known, control.signal);
      learnTime(live.snapshot.at);
      etag = answer.etag;
    }
    live.refused = live.error = null;
    if (live.snapshot) remember(live.snapshot);
  } catch (error) {
    if (control.signal.aborted) return;
    pause = told(error);
  } finally {
    if (asking === control) asking = null;
  }
  for (const follow of followers) follow();
  // The rhythm is that of the questions, however long an answer takes.
  if (running && !document.hidden) timer = setTimeout(ask, Math.max(LEAST_PAUSE_MS, pause - (Date.now() - began)));
}

function told(error) {
  if (error instanceof Refusal && error.status === 401) signOut(`Signed out: ${error.message}`);
  else if (error instanceof Refusal && error.status === 429) return Math.min(30, error.retryAfter ?? 5) * 1000;
  else if (isFinal(error)) live.refused = error;
  else live.error = error;
  return error instanceof Refusal ? 5 * EVERY_MS : EVERY_MS;
}

/** What has not changed is left out and taken from what is known; later pages have the workers and jobs beyond those of the first. */
async function whole(first, known, signal) {
  const all = { ...first, paged: Boolean(first.nextLink) };
  if (first.unchanged && known) {
    const workers = new Set(first.unchanged.workers);
    const queues = new Set(first.unchanged.queues);
    all.workers = [...first.workers, ...known.workers.filter((worker) => workers.has(worker.id))];
    all.jobs = [...first.jobs, ...known.jobs.filter((job) => queues.has(job.queueId))];
  }
  for (let next = first.nextLink; next; ) {
    const { body } = await request("GET", next, { signal });
    all.workers = [...all.workers, ...(body.workers ?? [])];
    all.jobs = [...all.jobs, ...(body.jobs ?? [])];
    next = body.nextLink;
  }
  return all;
}

function remember(snapshot) {
  const at = Date.now();
  for (const queue of snapshot.queues) {
    const points = past.get(queue.id) ?? [];
    if (points.length && at - points.at(-1)[0] < STEP_MS) points.at(-1)[1] = Math.max(points.at(-1)[1], queue.waiting);
    else points.push([at, queue.waiting]);
    while (points.length && at - points[0][0] > KEEP_MS) points.shift();
    past.set(queue.id, points);
  }
}

let offset = 0;

/** Ages are told by the router's clock where the one here is off. */
function learnTime(at) {
  const difference = Date.parse(at) - Date.now();
  offset = Math.abs(difference) > 5000 ? difference : 0;
}

export const routerNow = () => Date.now() + offset;

/** The time, drawn anew each second. */
export function useNow() {
  const [now, tick] = useState(routerNow);
  useEffect(() => {
    const ticking = setInterval(() => document.hidden || tick(routerNow()), 1000);
    return () => clearInterval(ticking);
  }, []);
  return Math.max(now, routerNow() - 1000);
}

/** live, stale, offline or loading; `quiet` is how many seconds nothing has answered. */
export function connection() {
  const quiet = (Date.now() - Math.max(contact.answeredAt, live.since)) / 1000;
  const failing = contact.failedAt > contact.answeredAt;
  if (!navigator.onLine) return { state: "offline", quiet };
  if (failing && quiet * 1000 > STALE_MS) return { state: "stale", quiet };
  if (failing) return { state: "waiting", quiet };
  return { state: contact.answeredAt ? "live" : "loading", quiet };
}

/**
 * What `load(signal)` gives, asked for again every `every` ms while the page is seen. `key` says what it is of: another
 * key begins anew; with `keep`, what was there is shown until the new one is read. A failure takes away nothing that was
 * shown, unless it is final. Answers {value, error, reload}; reload resolves when it is read.
 */
export function useResource(key, load, every = EVERY_MS, keep = false) {
  const [held, hold] = useState({ key, value: null, error: null });
  const latest = useRef(load);
  const again = useRef(() => {});
  latest.current = load;
  useEffect(() => {
    const control = new AbortController();
    let waiting = null;
    let reading = null;
    const read = () => (reading ??= once().finally(() => (reading = null)));
    async function once() {
      clearTimeout(waiting);
      let wait = every;
      try {
        const value = await latest.current(control.signal);
        // What is read to its end in spite of the abort is of a key that is not asked for any more.
        if (control.signal.aborted) return;
        hold({ key, value, error: null });
      } catch (error) {
        if (control.signal.aborted) return;
        if (error instanceof Refusal && error.status === 401) return signOut(`Signed out: ${error.message}`);
        hold((before) => ({ key, value: (keep || before.key === key) && !isFinal(error) ? before.value : null, error }));
        if (!(error instanceof Refusal)) wait = Math.min(every || AGAIN_MS, AGAIN_MS);
      }
      if (wait && !document.hidden) waiting = setTimeout(read, wait);
    }
    const seen = () => (document.hidden ? clearTimeout(waiting) : read());
    // What is being read may be from before the change that is to be seen.
    again.current = async () => {
      await reading;
      await read();
    };
    document.addEventListener("visibilitychange", seen);
    read();
    return () => {
      control.abort();
      clearTimeout(waiting);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [key, every]);
  const current = keep || held.key === key ? held : { value: null, error: null };
  return { value: current.value, error: current.error, reload: () => again.current() };
}
