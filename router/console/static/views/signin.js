// The way in: a key, or Microsoft Entra ID where it is set up.

import { signInWithEntra, signInWithKey, useSession } from "../session.js";
import { html, Icon } from "../ui.js";
import { useState } from "../vendor/hooks.js";

export function SignIn() {
  const { state, error, settings } = useSession();
  const [key, type] = useState("");
  const busy = state === "checking";
  function enter(event) {
    event.preventDefault();
    const given = key;
    type("");
    signInWithKey(given);
  }
  return html`<main class="signin" id="main">
    <div class="card">
      <img src="/console/icon.svg" alt="" width="44" height="44" />
      <h1>Router console</h1>
      <p class="quiet">See what waits and why, and act.</p>
      ${error && html`<p class="trouble" role="alert"><${Icon} name="warn" />${error}</p>`}
      ${settings?.entra && html`<button type="button" class="wide-button" data-tone="primary" disabled=${busy} onClick=${signInWithEntra}>Sign in with Microsoft</button><p class="or">or</p>`}
      <form onSubmit=${enter}>
        <div class="field">
          <label for="key">Access key</label>
          <input id="key" type="password" value=${key} required autocomplete="off" spellcheck="false" aria-describedby="key-hint" onInput=${(event) => type(event.target.value)} />
          <p class="quiet" id="key-hint">Stays in this page's memory. A reload asks for it again.</p>
        </div>
        <button type="submit" class="wide-button" data-tone=${settings?.entra ? "plain" : "primary"} disabled=${busy}>${busy ? "Signing in…" : "Sign in"}</button>
      </form>
    </div>
    ${settings?.version && html`<p class="quiet version">Version ${settings.version}</p>`}
  </main>`;
}
