// The line chart: uPlot with the page's colours, a readout under the pointer, and one line a series.

import uPlot from "./vendor/uPlot.esm.js";
import { clock, figure } from "./figures.js";

// Told apart by people with colour vision deficiencies as well, and each at least 3:1 on its background.
const LIGHT = ["#0b6bcb", "#c2410c", "#0f766e", "#a21caf", "#8a6d00", "#4d7c0f", "#be123c", "#5b5bd6", "#57534e", "#0e7490"];
const DARK = ["#63a4ff", "#ff9e57", "#3fd0bd", "#e58cf2", "#e6c229", "#a3d65c", "#ff7d96", "#a5a5ff", "#c9c1b8", "#55d0ea"];

export const DRAWN = LIGHT.length;

const dark = matchMedia("(prefers-color-scheme: dark)");

// Which colour a line has: kept while the line is drawn, so that lines do not swap colours when their order changes.
export class Colours {
  #slots = new Map();

  assign(labels) {
    for (const label of [...this.#slots.keys()]) if (!labels.includes(label)) this.#slots.delete(label);
    for (const label of labels) {
      if (this.#slots.has(label)) continue;
      const taken = new Set(this.#slots.values());
      let slot = 0;
      while (taken.has(slot)) slot += 1;
      this.#slots.set(label, slot);
    }
  }

  of(label) {
    const slot = this.#slots.get(label);
    return slot === undefined ? null : (dark.matches ? DARK : LIGHT)[slot];
  }

  clear() {
    this.#slots.clear();
  }
}

export class Lines {
  #host;
  #plot = null;
  #shape = "";
  #readout = document.createElement("div");

  constructor(host) {
    this.#host = host;
    this.#readout.className = "readout";
    this.#readout.hidden = true;
    new ResizeObserver(() => this.#plot?.setSize(this.#size())).observe(host);
    dark.addEventListener("change", () => { this.#shape = ""; });
  }

  // `series`: [{label, values, colour}]; the order is the order of drawing. `window` and `grain` in seconds.
  draw(times, series, unit, grain, window) {
    const shape = JSON.stringify([series.map((line) => [line.label, line.colour]), unit, grain, window, dark.matches]);
    const data = [times, ...series.map((line) => line.values)];
    if (shape !== this.#shape) {
      this.#shape = shape;
      this.#plot?.destroy();
      this.#plot = new uPlot(this.#options(series, unit, grain, window), data, this.#host);
      this.#plot.over.append(this.#readout);
    } else {
      this.#plot.setData(data);
    }
  }

  #size() {
    const width = this.#host.clientWidth;
    return { width: Math.max(200, width), height: width < 500 ? 240 : 300 };
  }

  #options(series, unit, grain, window) {
    const style = getComputedStyle(document.documentElement);
    const axis = {
      stroke: style.getPropertyValue("--quiet"),
      grid: { stroke: style.getPropertyValue("--grid"), width: 1 },
      ticks: { show: false },
      font: "12px system-ui, sans-serif",
    };
    return {
      ...this.#size(),
      padding: [12, 22, 0, 0],
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { size: 7 } },
      scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(high ?? 0, 0) * 1.1 || 1] } },
      axes: [
        { ...axis, size: 30, values: (_, ticks) => ticks.map((time) => clock(time)) },
        { ...axis, size: 68, values: (_, ticks) => ticks.map((value) => figure(value, unit)) },
      ],
      series: [
        {},
        ...series.map((line) => ({
          label: line.label,
          stroke: line.colour,
          width: 2,
          spanGaps: false,
          points: { show: (plot, index) => alone(plot.data[index]), size: 5, fill: line.colour },
        })),
      ],
      hooks: { setCursor: [(plot) => this.#read(plot, series, unit, grain, window)] },
    };
  }

  #read(plot, series, unit, grain, window) {
    const { idx, left } = plot.cursor;
    this.#readout.hidden = idx === null || idx === undefined || left < 0;
    if (this.#readout.hidden) return;
    // Nought is a value and told; what was not measured is none.
    const shown = series
      .map((line, at) => ({ line, value: plot.data[at + 1][idx] ?? null }))
      .filter(({ value }) => value !== null);
    const title = document.createElement("b");
    title.textContent = clock(plot.data[0][idx], ...(grain < 60 ? ["seconds"] : []), ...(window > 3600 ? ["date"] : []));
    const rows = shown.sort((one, other) => other.value - one.value).map(({ line, value }) => {
      const row = document.createElement("span");
      const swatch = document.createElement("i");
      swatch.className = "swatch";
      swatch.style.background = line.colour;
      const amount = document.createElement("em");
      amount.textContent = figure(value, unit);
      row.append(swatch, line.label, amount);
      return row;
    });
    this.#readout.replaceChildren(title, ...(rows.length ? rows : ["Nothing measured"]));
    const width = plot.over.clientWidth;
    this.#readout.style.maxWidth = `${Math.max(left, width - left) - 14}px`;
    this.#readout.style.top = "8px";
    this.#readout.style.left = left < width / 2 ? `${left + 14}px` : "";
    this.#readout.style.right = left < width / 2 ? "" : `${width - left + 14}px`;
  }
}

// A value between two gaps has no line to be seen by.
function alone(values) {
  return values.some((value, at) => value !== null && (values[at - 1] ?? null) === null && (values[at + 1] ?? null) === null);
}
