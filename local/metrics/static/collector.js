// The collector's answers to the page's questions.

const API = "/metrics-explorer/api";

export function metrics() {
  return ask(`${API}/metrics`);
}

export function answers({ window }) {
  return ask(`${API}/answers?window=${window}`);
}

export function chart({ metric, aggregation, split, grain, window, filters }) {
  const query = new URLSearchParams({ metric, aggregation, window });
  if (grain) query.set("grain", grain);
  if (split) query.set("split", split);
  for (const [dimension, values] of Object.entries(filters)) {
    for (const value of values) query.append("filter", `${dimension}=${value}`);
  }
  return ask(`${API}/chart?${query}`);
}

async function ask(url) {
  const answer = await fetch(url, { cache: "no-store" });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return answer.json();
}
