// Requests to the router: signed with an access key or sent with a bearer token, both of which stay in this module's
// memory. Nothing here writes to storage, to an address or to a log.

export const API_VERSION = "2024-01-18-preview";
const PATIENCE_MS = 8000;
const EMPTY = new Uint8Array();
const encoder = new TextEncoder();

let authorize = null;
let clockOffset = 0;

/** The router has answered, and refuses. */
export class Refusal extends Error {
  constructor(status, code, message, details = [], retryAfter = null) {
    super(message);
    this.status = status;
    this.code = code;
    this.details = details;
    this.retryAfter = retryAfter;
  }
}

/** No answer, or one that says that the router cannot answer now. */
export class Unreachable extends Error {}

/** Whether what was asked for is not to be shown (any more). Whatever else fails may go well the next time. */
export const isFinal = (error) => error instanceof Refusal && [403, 404].includes(error.status);

/** Whether it may go well a little later, with nothing changed. */
export const passes = (error) => error instanceof Unreachable || (error instanceof Refusal && [408, 429].includes(error.status));

/** When the router answered last, for whoever shows whether it is there. */
export const contact = { answeredAt: 0, failedAt: 0, listener: null };

/** Sign with an access key, as base64. Throws a TypeError for what is none. */
export async function useKey(text) {
  if (!globalThis.crypto?.subtle) {
    throw new TypeError("This address is not secure, so the browser does not sign. Open the console by https, or on localhost.");
  }
  const key = await crypto.subtle.importKey("raw", keyBytes(text), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  authorize = async (method, url, body) => {
    const date = new Date(Date.now() + clockOffset).toUTCString();
    const hash = base64(await crypto.subtle.digest("SHA-256", body));
    const target = url.pathname + url.search;
    const signed = await crypto.subtle.sign("HMAC", key, encoder.encode(`${method}\n${target}\n${date};${url.host};${hash}`));
    return {
      "x-ms-date": date,
      "x-ms-content-sha256": hash,
      Authorization: `HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=${base64(signed)}`,
    };
  };
}

/** Send a bearer token; `token` gives one that is valid now. */
export function useToken(token) {
  authorize = async () => ({ Authorization: `Bearer ${await token()}` });
}

export function forget() {
  authorize = null;
}

/** A path of the API: `path` is a template tag that encodes what is put into it. */
export function path(strings, ...ids) {
  return strings.reduce((whole, part, index) => whole + encodeURIComponent(ids[index - 1]) + part);
}

/**
 * One request. Answers {status, etag, body, date}; a status of 304 has no body. With `text` the body is a Blob, as it came.
 * Throws Refusal or Unreachable, and an AbortError where `signal` ends it.
 */
export async function request(method, target, { query = {}, body, ifMatch, ifNoneMatch, signal, text = false } = {}) {
  const url = new URL(target, location.origin);
  if (url.origin !== location.origin) throw new Unreachable("The console asks nobody but its own router.");
  for (const [name, value] of Object.entries({ ...query, "api-version": API_VERSION })) {
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, value);
  }
  const bytes = body === undefined ? EMPTY : encoder.encode(JSON.stringify(body));
  let answer = await send(method, url, bytes, { ifMatch, ifNoneMatch, signal });
  if (answer.status === 401 && learnTime(answer)) answer = await send(method, url, bytes, { ifMatch, ifNoneMatch, signal });
  const read = await arriving(text && answer.ok ? answer.blob() : bodyOf(answer), signal);
  if (answer.status >= 500) {
    contact.failedAt = Date.now();
    throw new Unreachable(messageOf(read) ?? `The router answers ${answer.status}.`);
  }
  contact.answeredAt = Date.now();
  contact.listener?.();
  if (answer.ok || answer.status === 304) {
    return { status: answer.status, etag: answer.headers.get("ETag"), date: answer.headers.get("Date"), body: read };
  }
  const error = read?.error ?? {};
  const retryAfter = Number(answer.headers.get("Retry-After")) || null;
  throw new Refusal(answer.status, error.code ?? String(answer.status), error.message ?? `Refused with ${answer.status}.`, error.details ?? [], retryAfter);
}

/** Saves what an operation answers as a file: signed as every request is, so that no address has a key in it. */
export async function download(target, query, name) {
  const { body } = await request("GET", target, { query, text: true });
  const address = URL.createObjectURL(body);
  const link = Object.assign(document.createElement("a"), { href: address, download: name });
  link.click();
  // The browser has taken it by then.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** All pages of a list, at most `limit` of its items. */
export async function everyItem(target, { query, signal, limit = 1000 } = {}) {
  const items = [];
  let next = target;
  let asked = query;
  while (next && items.length < limit) {
    const { body } = await request("GET", next, { query: asked, signal });
    items.push(...body.value);
    next = body.nextLink;
    asked = undefined;
  }
  return items;
}

async function send(method, url, bytes, { ifMatch, ifNoneMatch, signal }) {
  if (!authorize) throw new Refusal(401, "SignedOut", "You are signed out.");
  const headers = { Accept: "application/json", ...(await authorized(method, url, bytes)) };
  if (ifMatch) headers["If-Match"] = ifMatch;
  if (ifNoneMatch) headers["If-None-Match"] = ifNoneMatch;
  if (bytes.length) headers["Content-Type"] = method === "PATCH" ? "application/merge-patch+json" : "application/json";
  const patience = AbortSignal.timeout(PATIENCE_MS);
  const asked = fetch(url, {
    method,
    headers,
    body: bytes.length ? bytes : undefined,
    signal: signal ? AbortSignal.any([signal, patience]) : patience,
    cache: "no-store",
    credentials: "omit",
    redirect: "error",
    referrerPolicy: "no-referrer",
  });
  return arriving(asked, signal);
}

/** What comes over the wire: an answer, or its body, which may break off after its head has come. */
async function arriving(coming, signal) {
  try {
    return await coming;
  } catch (error) {
    if (signal?.aborted) throw error;
    contact.failedAt = Date.now();
    throw new Unreachable("The router does not answer.");
  }
}

async function authorized(method, url, bytes) {
  try {
    return await authorize(method, url, bytes);
  } catch (error) {
    if (!(error instanceof Unreachable)) throw new Refusal(401, "NoToken", error.message);
    contact.failedAt = Date.now();
    throw error;
  }
}

/** Whether the clock here is off and the answer tells by how much: signatures are good for five minutes only. */
function learnTime(answer) {
  const there = Date.parse(answer.headers.get("Date") ?? "");
  if (Number.isNaN(there) || Math.abs(there - Date.now() - clockOffset) < 60_000) return false;
  clockOffset = there - Date.now();
  return true;
}

/** Null for none. Throws what breaks off, and a SyntaxError for what an answer that is no refusal has instead of JSON. */
async function bodyOf(answer) {
  const text = await answer.text();
  if (!text) return null;
  try {
    return JSON.parse(text);
  } catch (error) {
    if (answer.ok) throw error;
    return null;
  }
}

function messageOf(body) {
  return body?.error?.message ?? null;
}

function keyBytes(text) {
  let bytes;
  try {
    bytes = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
  } catch {
    throw new TypeError("This is no access key: a key is base64.");
  }
  if (bytes.length < 16) throw new TypeError("This is no access key: it is too short.");
  return bytes;
}

function base64(buffer) {
  return btoa(String.fromCharCode(...new Uint8Array(buffer)));
}
