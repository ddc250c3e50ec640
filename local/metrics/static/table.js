// The table under the chart: each line's figures, and a button that takes the line off the chart.

import { figure, unitOf } from "./figures.js";

const AGGREGATIONS = ["count", "sum", "avg", "min", "max"];

export class Table {
  #table;
  #toggled;

  constructor(table, toggled) {
    this.#table = table;
    this.#toggled = toggled;
  }

  // `rows`: [{label, colour or null, hidden, count, sum, avg, min, max}]
  show(rows, heading, metric, aggregation) {
    this.#table.querySelector("#split-head").textContent = heading;
    this.#table.querySelectorAll("thead .number").forEach((head, at) => {
      head.classList.toggle("chosen", AGGREGATIONS[at] === aggregation);
    });
    const body = this.#table.tBodies[0];
    const focused = document.activeElement?.closest?.("tr")?.dataset.label;
    body.replaceChildren(...rows.map((row) => this.#row(row, metric, aggregation)));
    if (focused !== undefined) [...body.rows].find((row) => row.dataset.label === focused)?.querySelector("button")?.focus();
  }

  #row(row, metric, aggregation) {
    const line = document.createElement("tr");
    line.dataset.label = row.label;
    const head = document.createElement("th");
    head.scope = "row";
    const swatch = document.createElement("i");
    swatch.className = "swatch";
    if (row.colour && !row.hidden) swatch.style.background = row.colour;
    else swatch.classList.add("off");
    if (row.colour) {
      const toggle = document.createElement("button");
      toggle.type = "button";
      toggle.className = "toggle";
      toggle.setAttribute("aria-pressed", String(!row.hidden));
      toggle.title = row.hidden ? "Show on the chart" : "Hide from the chart";
      toggle.append(swatch, row.label);
      toggle.addEventListener("click", () => this.#toggled(row.label));
      head.append(toggle);
    } else {
      const plain = document.createElement("span");
      plain.className = "toggle";
      plain.append(swatch, row.label);
      head.append(plain);
    }
    const cells = AGGREGATIONS.map((name) => {
      const cell = document.createElement("td");
      cell.className = name === aggregation ? "number chosen" : "number";
      cell.textContent = figure(row[name], unitOf(metric, name));
      return cell;
    });
    line.append(head, ...cells);
    return line;
  }
}
