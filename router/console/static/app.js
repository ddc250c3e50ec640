// The console: signs in, and shows the view that the address names.

import { contact } from "./api.js";
import { Dialogs } from "./dialog.js";
import { duration, timeOfDay } from "./format.js";
import { go, link, useRoute } from "./route.js";
import { begin, keyInAddress, seesAll, signInWithKey, signOut, useSession } from "./session.js";
import { connection, start, stop, useLive, useNow } from "./store.js";
import { html, Icon, Loading } from "./ui.js";
import { useEffect, useErrorBoundary, useLayoutEffect, useRef, useState } from "./vendor/hooks.js";
import { render } from "./vendor/preact.js";
import { Job } from "./views/job.js";
import { Now } from "./views/now.js";
import { SignIn } from "./views/signin.js";
import { Worker } from "./views/worker.js";

const WALL = new URLSearchParams(location.search).has("wall");

function App() {
  const session = useSession();
  const route = useRoute();
  const signedIn = session.state === "in";
  // At once, not when it is painted: who is signed out asks nothing more.
  useLayoutEffect(() => {
    if (signedIn) start();
    return stop;
  }, [signedIn]);
  if (!signedIn) return html`<${SignIn} />`;
  if (WALL) return html`<${Later} load=${() => import("./views/wall.js")} name="Wall" />`;
  return html`<${Shell} route=${route} session=${session} /><${Dialogs} />`;
}

function Shell({ route, session }) {
  const main = useRef(null);
  const place = `${route.name}/${route.id}`;
  useEffect(() => {
    document.title = `${route.id || TITLES[route.name] || "Now"} – Router console`;
    // A new view begins at its top, also for who listens; the first is what the sign-in has led to.
    scrollTo(0, 0);
    main.current.focus({ preventScroll: true });
  }, [place]);
  const nav = (name, words) => html`<a href=${link(name)} aria-current=${route.name === name ? "page" : undefined}>${words}</a>`;
  const { silent } = useContact();
  return html`
    <a class="skip" href="#main" onClick=${(event) => (event.preventDefault(), main.current.focus())}>Skip to content</a>
    <header class="bar">
      <a class="brand" href=${link("now")}><img src="/console/icon.svg" alt="" width="24" height="24" /><span>Router</span></a>
      <nav aria-label="Views">${seesAll() && html`${nav("now", "Now")}${session.settings?.history && html`${nav("reports", "Reports")}${nav("changes", "Changes")}`}${nav("settings", "Settings")}`}${session.workerId && html`<a href=${link("worker", session.workerId)} aria-current=${route.name === "worker" && route.id === session.workerId ? "page" : undefined}>Your work</a>`}</nav>
      ${seesAll() && html`<${Open} />`}
      <${Contact} />
      <span class="who" title=${`Signed in with ${session.signIn === "entra" ? "Microsoft Entra ID" : "an access key"}`}>${RIGHTS[session.right] ?? session.right}</span>
      <button type="button" class="plain" onClick=${() => (go(link("now")), signOut())}>Sign out</button>
    </header>
    <${Silence} />
    <main id="main" ref=${main} tabindex="-1" data-silent=${silent}>
      ${!TITLES[route.name] && seesAll() && html`<p class="back"><a href="#/now" onClick=${back}><${Icon} name="back" />Back</a></p>`}
      <${Guarded} key=${place} route=${route} session=${session} />
    </main>
  `;
}

const TITLES = { now: "Now", reports: "Reports", changes: "Changes", settings: "Settings" };
const RIGHTS = { Read: "May read", Supervise: "Supervisor", Agent: "Agent", Admin: "Administrator" };

/** A fault in one view leaves the page with its way out. */
function Guarded({ route, session }) {
  const [fault, again] = useErrorBoundary((error) => console.error(error));
  if (!fault) return html`<${View} route=${route} session=${session} />`;
  return html`<div class="empty" role="alert"><p><${Icon} name="warn" /> This view has failed.</p><p><button type="button" onClick=${again}>Try again</button></p></div>`;
}

function View({ route, session }) {
  const { snapshot, refused } = useLive();
  if (route.name === "worker" && route.id) return html`<${Worker} key=${route.id} id=${route.id} route=${route} />`;
  if (route.name === "job" && route.id) return html`<${Job} key=${route.id} id=${route.id} />`;
  if (!seesAll()) {
    // To an agent the floor is its own worker.
    const own = session.workerId ?? snapshot?.workers[0]?.id;
    if (own) return html`<${Worker} key=${own} id=${own} route=${route} />`;
    if (!snapshot && !refused) return html`<${Loading} what="your work" />`;
    return html`<${WhoAreYou} />`;
  }
  if (route.name === "settings") return html`<${Later} load=${() => import("./views/settings.js")} name="Settings" route=${route} />`;
  if (route.name === "reports") return html`<${Later} load=${() => import("./views/reports.js")} name="Reports" route=${route} />`;
  if (route.name === "changes") return html`<${Later} load=${() => import("./views/changes.js")} name="Changes" route=${route} />`;
  return html`<${Now} route=${route} />`;
}

let steps = 0;

function back(event) {
  if (steps > 0) {
    event.preventDefault();
    history.back();
  }
}

/** A view whose file is fetched when it is wanted. */
function Later({ load, name, ...rest }) {
  const [view, show] = useState(null);
  useEffect(() => {
    load().then((module) => show(() => module[name]));
  }, [name]);
  return view ? html`<${view} ...${rest} />` : null;
}

/** An agent whose worker the router does not name says which it is; another than its own is refused. */
function WhoAreYou() {
  const [id, type] = useState("");
  return html`<section class="card asked" aria-labelledby="who-title">
    <h1 id="who-title">Your work</h1>
    <form onSubmit=${(event) => (event.preventDefault(), go(link("worker", id.trim())))}>
      <div class="field"><label for="worker">Your worker's id</label>
        <input id="worker" value=${id} required autocomplete="off" spellcheck="false" aria-describedby="worker-hint" onInput=${(event) => type(event.target.value)} />
        <p class="quiet" id="worker-hint">A worker is yours when its tag entraObjectId, or its id, is your object id in Microsoft Entra ID.</p></div>
      <button type="submit" data-tone="primary">Open</button>
    </form>
  </section>`;
}

/** Opens a job or a worker whose id is known, whether it is seen on the floor or not. */
function Open() {
  const [id, type] = useState("");
  const open = (name) => id.trim() && (go(link(name, id.trim())), type(""));
  return html`<form class="open" role="search" onSubmit=${(event) => (event.preventDefault(), open("job"))}>
    <label><span class="visually-hidden">Open by id</span><input id="open" placeholder="Open by id" value=${id} autocomplete="off" spellcheck="false" onInput=${(event) => type(event.target.value)} /></label>
    ${id.trim() && html`<button type="submit" class="small">Job</button><button type="button" class="small" onClick=${() => open("worker")}>Worker</button>`}
  </form>`;
}

function useContact() {
  useNow();
  const found = connection();
  return { ...found, silent: found.state === "stale" || found.state === "offline" };
}

const WORDS = { live: "Live", waiting: "Waits for an answer", stale: "No answer", offline: "Offline", loading: "Connecting" };

function Contact() {
  const { state } = useContact();
  return html`<p class="contact" data-state=${state} role="status"><i aria-hidden="true"></i>${WORDS[state]}</p>`;
}

function Silence() {
  const { state, quiet, silent } = useContact();
  if (!silent) return null;
  const since = contact.answeredAt ? ` What you see is from ${timeOfDay(contact.answeredAt)}.` : "";
  return html`<p class="silence" role="alert"><${Icon} name="warn" />${state === "offline"
    ? html`<span><b>This computer is offline.</b>${since} The page goes on by itself when the network is back.</span>`
    : html`<span><b>The router has not answered for <span aria-hidden="true">${duration(quiet)}</span><span class="visually-hidden">more than ten seconds</span>.</b>${since} The page asks again every two seconds.</span>`}</p>`;
}

// A key is taken out of the address before anything looks at it, also one that is put there later.
addEventListener("hashchange", () => {
  steps += 1;
  const key = keyInAddress();
  if (key) signInWithKey(key);
});
const key = keyInAddress();
const place = document.getElementById("app");
place.replaceChildren();
render(html`<${App} />`, place);
begin(key);
