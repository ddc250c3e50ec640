// Sign-in with Microsoft Entra ID by MSAL: authorization code with PKCE in a window of its own, tokens in memory.
// Loaded only where it is set up.

import { Unreachable } from "./api.js";

/** So long may passwords and second factors take. */
const PATIENCE_MS = 10 * 60_000;
let client = null;
let preparing = null;

/** Loads the library, so that the window opens at once when it is asked for. One client, however many ask: only the one that somebody has signed in with has tokens. */
export const prepare = (settings) => (preparing ??= prepared(settings).catch(fails));

async function prepared(settings) {
  await library();
  const made = new globalThis.msal.PublicClientApplication({
    auth: {
      clientId: settings.clientId,
      authority: settings.authority,
      knownAuthorities: [new URL(settings.authority).host],
      redirectUri: `${location.origin}/console/signed-in.html`,
    },
    cache: { cacheLocation: "memoryStorage" },
    system: { loggerOptions: { loggerCallback: () => {}, piiLoggingEnabled: false }, popupBridgeTimeout: PATIENCE_MS },
    telemetry: { application: { appName: "router-console", appVersion: "" } },
  });
  await made.initialize();
  client = made;
}

/** The next who asks tries again. */
function fails(error) {
  preparing = null;
  throw error;
}

/** Asks who it is; a function that gives a token which is valid now. Throws an error whose message says what to do. */
export async function signedIn(settings) {
  await prepare(settings);
  const account = await inItsWindow(settings);
  return async () => {
    try {
      const result = await client.acquireTokenSilent({
        account,
        scopes: [settings.scope],
        // No hidden frame is opened: who cannot get a token by the one that renews it signs in again.
        cacheLookupPolicy: globalThis.msal.CacheLookupPolicy.AccessTokenAndRefreshToken,
      });
      return result.accessToken;
    } catch (error) {
      if (!isAnswer(error)) throw new Unreachable("Microsoft Entra ID does not answer.");
      throw new Error(`Your sign-in has ended. Sign in again${numberIn(error)}.`);
    }
  };
}

async function inItsWindow(settings) {
  try {
    // Who begins again has left the window of the time before.
    const { account } = await client.loginPopup({ scopes: [settings.scope], prompt: "select_account", overrideInteractionInProgress: true });
    return account;
  } catch (error) {
    const words = WORDS[error.errorCode] ?? (isAnswer(error) ? "Microsoft Entra ID does not sign you in" : "Microsoft Entra ID does not answer. Try again");
    throw new Error(`${words}${saidBy(error)}.`);
  }
}

const WORDS = {
  access_denied: "You are not signed in: it was cancelled, or consent was declined",
  consent_required: "Somebody who administers Microsoft Entra ID has to consent first",
  popup_window_error: "The browser did not open the sign-in window. Allow this page to open windows, and try again",
  empty_window_error: "The browser did not open the sign-in window. Allow this page to open windows, and try again",
  timed_out: "Nothing came from the sign-in window. Try again",
  user_cancelled: "The sign-in window was closed. Try again",
};

/** As OAuth names what is the tenant's own trouble; without a name it is told anew by the library, which asks no oftener than it may. */
const UNWELL = ["temporarily_unavailable", "server_error", ""];

/** Whether the tenant has answered, and refuses; else it has not been reached, or is not well. */
function isAnswer(error) {
  if (error instanceof globalThis.msal.InteractionRequiredAuthError) return true;
  return error instanceof globalThis.msal.ServerError && !UNWELL.includes(error.errorCode) && !(error.status === 429 || error.status >= 500);
}

const numberIn = (error) => (/AADSTS\d+/.exec(error.message) ?? []).map((number) => ` (${number})`).join("");

/** The first sentence that the tenant says of it, with its number. */
function saidBy(error) {
  const said = /(AADSTS\d+): ([^\r\n.]+)/.exec(error.message);
  return said ? `. Microsoft Entra ID says: ${said[2]} (${said[1]})` : "";
}

function library() {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "/console/vendor/msal-browser.js";
    script.onload = resolve;
    script.onerror = () => reject(new Error("The sign-in library could not be loaded."));
    document.head.append(script);
  });
}
