// The way in: a key, or Microsoft Entra ID where it is set up.

import { signInWithEntra, signInWithKey, signOut, useSession } from "../session.js";
import { html, Icon, Loading } from "../ui.js";
import { useLayoutEffect, useRef, useState } from "../vendor/hooks.js";

/** The way that was taken last. */
let used = "button, input";

export function SignIn() {
  const { state, error, silence, settings } = useSession();
  const left = useRef(Boolean(error));
  if (state !== "out") left.current = true;
  return html`<main class="signin" id="main">
    <div class="card">
      <img src="/console/icon.svg" alt="" width="44" height="44" />
      <h1>Router console</h1>
      <p class="quiet">See what waits and why, and act.</p>
      ${error && html`<p class="trouble" role="alert"><${Icon} name="warn" />${error}</p>`}
      ${silence && html`<p class="patience" role="status"><${Icon} name="wait" /><span>${silence} The page asks again, and goes on by itself.</span></p>`}
      ${state !== "out" ? html`<${Underway} asking=${state === "asking"} silent=${Boolean(silence)} />` : settings ? html`<${Ways} entra=${settings.entra} again=${left.current} />` : !silence && html`<${Loading} what="how to sign in" />`}
    </div>
    ${settings?.version && html`<p class="quiet version">Version ${settings.version}</p>`}
  </main>`;
}

/** What takes its time can be left: a window that was closed tells nobody. */
function Underway({ asking, silent }) {
  const way = useRef(null);
  useLayoutEffect(() => way.current?.focus(), [asking, silent]);
  return html`
    ${!silent && html`<p class="underway quiet" role="status">${asking ? "Go on in the window that Microsoft has opened." : "Signing in…"}</p>`}
    ${(asking || silent) && html`<button type="button" class="wide-button" id="begin-again" ref=${way} onClick=${() => signOut()}>${asking ? "Begin again" : "Stop"}</button>`}
  `;
}

/** They are all there from the beginning: nothing moves under the pointer of who is about to press. */
function Ways({ entra, again }) {
  const [key, type] = useState("");
  const first = useRef(null);
  // Who comes back here goes on where it began.
  useLayoutEffect(() => again && first.current.querySelector(used)?.focus(), []);
  function enter(event) {
    event.preventDefault();
    used = "input";
    signInWithKey(key);
  }
  function enterWithEntra() {
    used = "button";
    signInWithEntra();
  }
  return html`<div class="ways" ref=${first}>
      ${entra && html`<button type="button" class="wide-button" data-tone="primary" onClick=${enterWithEntra}>Sign in with Microsoft</button><p class="or">or</p>`}
      <form onSubmit=${enter}>
        <div class="field">
          <label for="key">Access key</label>
          <input id="key" type="password" value=${key} required autocomplete="off" spellcheck="false" aria-describedby="key-hint" onInput=${(event) => type(event.target.value)} />
          <p class="quiet" id="key-hint">Stays in this page's memory. A reload asks for it again.</p>
        </div>
        <button type="submit" class="wide-button" data-tone=${entra ? "plain" : "primary"}>Sign in</button>
      </form>
    </div>`;
}
