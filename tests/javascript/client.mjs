// A client as @azure-rest/communication-job-router is one: the same paths, the same paging, signed by
// @azure/communication-common (COMMUNICATION_COMMON names the version) in a pipeline of @azure-rest/core-client.
import { createRequire } from "node:module";

const load = createRequire(import.meta.url);
const { createRestError, getClient } = load("@azure-rest/core-client");
const { createCommunicationAuthPolicy, parseClientArguments } = load(
  process.env.COMMUNICATION_COMMON ?? "@azure/communication-common",
);

export const GA = "2023-11-01";
export const PREVIEW = "2024-01-18-preview";

/** A client by connection string, or by endpoint and `{ key }`. */
export function createClient(endpointOrConnectionString, credentialOrOptions = {}, options = {}) {
  const hasCredential = "key" in credentialOrOptions;
  const { url, credential } = parseClientArguments(
    endpointOrConnectionString,
    hasCredential ? credentialOrOptions : undefined,
  );
  const chosen = { apiVersion: GA, ...(hasCredential ? options : credentialOrOptions) };
  const client = getClient(url, { ...chosen, allowInsecureConnection: url.startsWith("http:") });
  client.pipeline.addPolicy(createCommunicationAuthPolicy(credential));
  return client;
}

/** The client that the environment describes. */
export function clientFromEnvironment(options = {}) {
  const { ROUTER_CONNECTION_STRING, ROUTER_ENDPOINT, ROUTER_ACCESS_KEY } = process.env;
  if (ROUTER_CONNECTION_STRING) return createClient(ROUTER_CONNECTION_STRING, options);
  return createClient(ROUTER_ENDPOINT, { key: ROUTER_ACCESS_KEY }, options);
}

export function isUnexpected(response) {
  return !["200", "201", "204"].includes(response.status);
}

/** The body, or the error that the official client throws. */
export async function ok(pending) {
  const response = await pending;
  if (isUnexpected(response)) throw createRestError(response);
  return response.body;
}

/** As `paginate` of the official client: items of all pages, following nextLink. */
export async function* paginate(client, pending) {
  for await (const page of pages(client, pending)) yield* page;
}

export async function* pages(client, pending) {
  let response = await pending;
  for (;;) {
    if (isUnexpected(response)) throw createRestError(response);
    if (!Array.isArray(response.body.value)) throw new Error("a page has no `value`");
    yield response.body.value;
    if (!response.body.nextLink) return;
    response = await client.pathUnchecked(response.body.nextLink).get();
  }
}

/** Merge patches have a content type of their own. */
export function patch(client, route, ids, body, headers = {}) {
  return client.path(route, ...ids).patch({ contentType: "application/merge-patch+json", body, headers });
}
