// Who is signed in, how, and what that lets them do. Kept in memory: a reload signs out.

import { forget, Refusal, request, useKey, useToken } from "./api.js";
import { useEffect, useState } from "./vendor/hooks.js";

/** state: out, checking or in; right: Read, Supervise, Agent or Admin. */
let session = { state: "out", right: null, workerId: null, signIn: null, error: null, settings: null };
const followers = new Set();

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

/** Whether the signed-in caller may do this; an agent only to its own worker. */
export function may(act, workerId = null) {
  if (session.right === "Admin" || session.right === "Supervise") return SUPERVISING.includes(act);
  return session.right === "Agent" && workerId !== null && workerId === session.workerId && OWN_WORK.includes(act);
}

/** Whether the caller sees the whole floor, not only its own work. */
export const seesAll = () => session.right !== "Agent";

/** `key` is what stood in the address, null if none did. */
export async function begin(key) {
  change({ settings: await readSettings() });
  if (key) return signInWithKey(key);
  if (session.settings?.entra) (await import("./entra.js")).prepare(session.settings.entra).catch(() => {});
}

export const signInWithKey = (text) => enter(() => useKey(text));

export const signInWithEntra = () =>
  enter(async () => {
    const { signedIn } = await import("./entra.js");
    useToken(await signedIn(session.settings.entra));
  });

/** `why` is shown with the way back in. */
export function signOut(why = null) {
  forget();
  change({ state: "out", right: null, workerId: null, signIn: null, error: why });
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
    change({ state: "in", right: body.right, workerId: body.workerId ?? null, signIn: body.signIn });
  } catch (error) {
    const refused = error instanceof Refusal && error.status === 401;
    signOut(refused ? `The router does not take this: ${error.message}` : error.message);
  }
}

async function readSettings() {
  try {
    const answer = await fetch("/console/settings.json", { cache: "no-store", credentials: "omit" });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

function change(parts) {
  session = { ...session, ...parts };
  for (const follow of followers) follow();
}
