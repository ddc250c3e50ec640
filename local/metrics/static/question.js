// What the chart shows, kept in the address so that a reload or a bookmark shows the same.

export const FIRST = { metric: "ApiRequestRouter", aggregation: "rate", split: "", window: "3600", grain: "", filters: {} };

const KEYS = ["metric", "aggregation", "split", "window", "grain"];

// The step of each window, unless one is chosen: some sixty to a hundred points.
export const GRAINS = { 900: "10", 3600: "60", 21600: "300", 86400: "900" };

export function read() {
  const hash = new URLSearchParams(location.hash.slice(1));
  const question = { ...FIRST, filters: {} };
  for (const key of KEYS) {
    if (hash.has(key)) question[key] = hash.get(key);
  }
  if (!(question.window in GRAINS)) question.window = FIRST.window;
  for (const text of hash.getAll("filter")) {
    const at = text.indexOf("=");
    if (at > 0) (question.filters[text.slice(0, at)] ??= []).push(text.slice(at + 1));
  }
  return question;
}

export function write(question) {
  const hash = new URLSearchParams();
  for (const key of KEYS) {
    if (question[key] !== FIRST[key]) hash.set(key, question[key]);
  }
  for (const [dimension, values] of Object.entries(question.filters)) {
    for (const value of values) hash.append("filter", `${dimension}=${value}`);
  }
  history.replaceState(null, "", hash.size ? `#${hash}` : location.pathname);
}
