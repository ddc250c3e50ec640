// Sign-in with Microsoft Entra ID by MSAL: authorization code with PKCE in a window of its own, tokens in memory.
// Loaded only where it is set up.

let client = null;

/** Loads the library, so that the window opens at once when it is asked for. */
export async function prepare(settings) {
  if (client) return;
  await library();
  const made = new globalThis.msal.PublicClientApplication({
    auth: {
      clientId: settings.clientId,
      authority: settings.authority,
      knownAuthorities: [new URL(settings.authority).host],
      redirectUri: `${location.origin}/console/signed-in.html`,
    },
    cache: { cacheLocation: "memoryStorage" },
    system: { loggerOptions: { loggerCallback: () => {}, piiLoggingEnabled: false } },
    telemetry: { application: { appName: "router-console", appVersion: "" } },
  });
  await made.initialize();
  client = made;
}

/** Asks who it is; a function that gives a token which is valid now. */
export async function signedIn(settings) {
  await prepare(settings);
  const { account } = await client.loginPopup({ scopes: [settings.scope], prompt: "select_account" });
  return async () => {
    const result = await client.acquireTokenSilent({
      account,
      scopes: [settings.scope],
      // No hidden frame is opened: who cannot get a token by the one that renews it signs in again.
      cacheLookupPolicy: globalThis.msal.CacheLookupPolicy.AccessTokenAndRefreshToken,
    });
    return result.accessToken;
  };
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
