// Who is signed in, how, and what that lets them do. Kept in memory: a reload signs out.

import { forget, passes, request, useKey, useToken } from "./api.js";
import { useLayoutEffect, useState } from "./vendor/hooks.js";

/**
 * state: out, asking (Microsoft's window is open), checking or in; right: the foremost of Read, Supervise, Agent and
 * Admin; rights: all of them; silence: why the router is asked once more, null while it answers.
 */
let session = { state: "out", right: null, rights: [], workerId: null, signIn: null, error: null, silence: null, settings: null };
/** Counts sign-ins and sign-outs: what an earlier one still waits for is not wanted any more. */
let turns = 0;
const followers = new Set();
const SETTINGS_WITHIN_MS = 8000;
const AGAIN_MS = 2000;
const BUSY_SECONDS = 5;
const MOST_BUSY_SECONDS = 30;

export function useSession() {
  const [, redraw] = useState(0);
  // At once: what changes before the page is painted is told too.
  useLayoutEffect(() => {
    const follow = () => redraw((count) => count + 1);
    followers.add(follow);
    return () => followers.delete(follow);
  }, []);
  return session;
}

const SUPERVISING = ["prioritise", "move", "cancel", "takeBack", "unassign", "logOut", "logIn", "assignWork"];
const OWN_WORK = ["accept", "decline", "complete", "close", "logOut", "logIn"];

const has = (...rights) => rights.some((right) => session.rights.includes(right));

/** Whether the signed-in caller may do this. An agent may to its own worker: another one it is not shown. */
export function may(act, workerId = null) {
  if (has("Admin", "Supervise") && SUPERVISING.includes(act)) return true;
  return has("Agent") && isOwn(workerId) && OWN_WORK.includes(act);
}

export function isOwn(workerId) {
  if (!has("Agent") || workerId === null) return false;
  return session.workerId ? session.workerId === workerId : !seesAll();
}

/** Whether the caller sees the whole floor, not only its own work. */
export const seesAll = () => has("Admin", "Supervise", "Read");

/** `key` is what stood in the address, null if none did. */
export async function begin(key) {
  if (key) change({ state: "checking" });
  const known = await readSettings();
  if (!known) setTimeout(learnSettings, AGAIN_MS);
  if (key) return signInWithKey(key);
  await prepareEntra();
}

async function prepareEntra() {
  if (session.settings?.entra) (await import("./entra.js")).prepare(session.settings.entra).catch(() => {});
}

/** Until they are known: a router that does not answer once has not said that it has no sign-in and no history. */
async function learnSettings() {
  if (!(await readSettings())) setTimeout(learnSettings, AGAIN_MS);
  else if (session.state === "out") await prepareEntra();
}

export const signInWithKey = (text) => enter("checking", () => useKey(text));

export const signInWithEntra = () => signInWithToken(async () => (await import("./entra.js")).signedIn(session.settings.entra));

/** `ask` gives the function that gives valid tokens. */
export const signInWithToken = (ask) =>
  enter("asking", async (wanted) => {
    const token = await ask();
    if (wanted()) useToken(token);
  });

/** `why` is shown with the way back in: the first one, since what is asked after it is refused for being signed out. */
export function signOut(why = null) {
  if (session.state === "out") return;
  turns += 1;
  forget();
  change({ state: "out", right: null, rights: [], workerId: null, signIn: null, error: why, silence: null });
}

/** A key behind the `#` is taken out of the address before anything else happens, and out of the history with it. */
export function keyInAddress() {
  const found = /^#key=(.+)$/.exec(location.hash);
  if (!found) return null;
  history.replaceState(null, "", location.pathname + location.search);
  try {
    return decodeURIComponent(found[1]);
  } catch {
    return found[1];
  }
}

/** Ends when it is known who that is, or that it is nobody: a router that does not answer has refused nothing. */
async function enter(state, prepare) {
  const turn = (turns += 1);
  const wanted = () => turn === turns;
  change({ state, error: null, silence: null });
  try {
    await prepare(wanted);
    while (wanted() && !(await isKnown(wanted)));
  } catch (error) {
    if (wanted()) signOut(error.status === 401 && error.code !== "NoToken" ? `The router does not take this: ${error.message}` : error.message);
  }
}

async function isKnown(wanted) {
  try {
    if (session.state !== "checking") change({ state: "checking" });
    const { body } = await request("GET", "/routing/rights");
    if (wanted()) change({ state: "in", silence: null, right: body.right, rights: body.rights ?? [body.right], workerId: body.workerId ?? null, signIn: body.signIn });
    return true;
  } catch (error) {
    if (!passes(error)) throw error;
    if (wanted()) change({ silence: error.message });
    const pause = error.status === 429 ? Math.min(MOST_BUSY_SECONDS, error.retryAfter ?? BUSY_SECONDS) * 1000 : AGAIN_MS;
    await new Promise((go) => setTimeout(go, pause));
    return false;
  }
}

/** Whether they could be read. What is known stays. */
async function readSettings() {
  try {
    const answer = await fetch("/console/settings.json", { cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(SETTINGS_WITHIN_MS) });
    if (!answer.ok) throw new Error(`Answered ${answer.status}.`);
    change({ settings: await answer.json(), silence: session.state === "out" ? null : session.silence });
    return true;
  } catch {
    if (session.state === "out") change({ silence: "The router does not answer." });
    return false;
  }
}

function change(parts) {
  session = { ...session, ...parts };
  for (const follow of followers) follow();
}
