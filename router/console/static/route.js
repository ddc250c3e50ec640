// Where the page is: kept behind the address's `#`, which no server sees. #/now?queue=a&find=b, #/job/ID, #/worker/ID.

import { useLayoutEffect, useState } from "./vendor/hooks.js";

export function parse(hash) {
  const [path, query = ""] = hash.replace(/^#/, "").split("?");
  const [, name = "", ...rest] = path.split("/");
  return { name: name || "now", id: decode(rest.join("/")), filters: Object.fromEntries(new URLSearchParams(query)) };
}

/** The address of a view; filters that are empty are left out. */
export function link(name, id = "", filters = {}) {
  const given = Object.entries(filters).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const query = given.length ? `?${new URLSearchParams(given)}` : "";
  return `#/${name}${id ? `/${encodeURIComponent(id)}` : ""}${query}`;
}

export function go(hash) {
  location.hash = hash;
}

/** Changes filters without a new entry in the browser's history. */
export function refine(route, changes) {
  history.replaceState(null, "", link(route.name, route.id, { ...route.filters, ...changes }));
  dispatchEvent(new HashChangeEvent("hashchange"));
}

export function useRoute() {
  const [route, change] = useState(() => parse(location.hash));
  useLayoutEffect(() => {
    const follow = () => change(parse(location.hash));
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return route;
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
