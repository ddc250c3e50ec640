// Who is signed in, how, and what that lets them do. Kept in memory: a reload signs out.

import { forget, Refusal, request, useKey, useToken } from "./api.js";
import { useEffect, useState } from "./vendor/hooks.js";

/** state: out, checking or in; right: the foremost of Read, Supervise, Agent and Admin; rights: all of them. */
let session = { state: "out", right: null, rights: [], workerId: null, signIn: null, error: null, settings: null };
const followers = new Set();
const SETTINGS_WITHIN_MS = 8000;
const SETTINGS_AGAIN_MS = 2000;

export function useSession() {
  const [, redraw] = useState(0);
  useEffect(() => {
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
  const known = await readSettings();
  if (!known) setTimeout(learnSettings, SETTINGS_AGAIN_MS);
  if (key) return signInWithKey(key);
  await prepareEntra();
}

async function prepareEntra() {
  if (session.settings?.entra) (await import("./entra.js")).prepare(session.settings.entra).catch(() => {});
}

/** Until they are known: a router that does not answer once has not said that it has no sign-in and no history. */
async function learnSettings() {
  if (!(await readSettings())) setTimeout(learnSettings, SETTINGS_AGAIN_MS);
  else if (session.state === "out") await prepareEntra();
}

export const signInWithKey = (text) => enter(() => useKey(text));

export const signInWithEntra = () => signInWithToken(async () => (await import("./entra.js")).signedIn(session.settings.entra));

/** `ask` gives the function that gives valid tokens. */
export const signInWithToken = (ask) => enter(async () => useToken(await ask()));

/** `why` is shown with the way back in. */
export function signOut(why = null) {
  forget();
  change({ state: "out", right: null, rights: [], workerId: null, signIn: null, error: why });
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

async function enter(prepare) {
  change({ state: "checking", error: null });
  try {
    await prepare();
    const { body } = await request("GET", "/routing/rights");
    change({ state: "in", right: body.right, rights: body.rights ?? [body.right], workerId: body.workerId ?? null, signIn: body.signIn });
  } catch (error) {
    const refused = error instanceof Refusal && error.status === 401;
    signOut(refused ? `The router does not take this: ${error.message}` : error.message);
  }
}

/** Whether they could be read. What is known stays. */
async function readSettings() {
  try {
    const answer = await fetch("/console/settings.json", { cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(SETTINGS_WITHIN_MS) });
    if (answer.ok) change({ settings: await answer.json() });
    return answer.ok;
  } catch {
    return false;
  }
}

function change(parts) {
  session = { ...session, ...parts };
  for (const follow of followers) follow();
}
