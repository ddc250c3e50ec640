// All other metrics at a glance: one button each, with the last minute's figure.

import { figure, unitOf } from "./figures.js";

const WORDS = { rate: "in the last minute", avg: "on average", max: "at most" };

export function showTiles(host, metrics, chosen, choose) {
  const known = new Map([...host.children].map((tile) => [tile.dataset.metric, tile]));
  const tiles = metrics.map((metric) => {
    const tile = known.get(metric.name) ?? newTile(metric);
    tile.setAttribute("aria-pressed", String(metric.name === chosen));
    tile.querySelector("b").textContent = figure(metric.lastMinute, unitOf(metric, metric.defaultAggregation));
    tile.onclick = () => choose(metric);
    return tile;
  });
  // Tiles stay where they are if they can: a press that outlasts an update is still a click.
  if (tiles.length === host.children.length && tiles.every((tile, at) => tile === host.children[at])) return;
  const focused = document.activeElement?.dataset?.metric;
  host.replaceChildren(...tiles);
  if (focused) [...host.children].find((tile) => tile.dataset.metric === focused)?.focus();
}

function newTile(metric) {
  const tile = document.createElement("button");
  tile.type = "button";
  tile.className = "tile";
  tile.dataset.metric = metric.name;
  tile.title = metric.description;
  const name = document.createElement("span");
  name.textContent = metric.title;
  const words = document.createElement("span");
  words.textContent = WORDS[metric.defaultAggregation] ?? metric.defaultAggregation;
  tile.append(document.createElement("b"), name, words);
  return tile;
}
