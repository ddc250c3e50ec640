// The routing metrics at a glance: one button each, with the last minute's figure.

import { figure, unitOf } from "./figures.js";

const WORDS = { count: "in the last minute", avg: "on average", max: "at most" };

export function showTiles(host, metrics, chosen, choose) {
  const focused = document.activeElement?.dataset?.metric;
  host.replaceChildren(...metrics.map((metric) => {
    const tile = document.createElement("button");
    tile.type = "button";
    tile.className = "tile";
    tile.dataset.metric = metric.name;
    tile.setAttribute("aria-pressed", String(metric.name === chosen));
    tile.title = metric.description;
    const value = document.createElement("b");
    value.textContent = figure(metric.lastMinute, unitOf(metric, metric.defaultAggregation));
    const name = document.createElement("span");
    name.textContent = metric.name;
    const words = document.createElement("span");
    words.textContent = WORDS[metric.defaultAggregation] ?? metric.defaultAggregation;
    tile.append(value, name, words);
    tile.addEventListener("click", () => choose(metric));
    return tile;
  }));
  if (focused) [...host.children].find((tile) => tile.dataset.metric === focused)?.focus();
}
