// The table under the chart: each line's figures, and a button that takes the line off the chart.

import { figure, unitOf } from "./figures.js";

const HEADS = { count: "Count", rate: "Per minute", avg: "Average", min: "Least", max: "Most", sum: "Sum" };

// What tells something of a counter, each of whose measurements is one, and of what has a size.
export const AGGREGATIONS = {
  counter: ["count", "rate"],
  histogram: ["count", "avg", "min", "max"],
  gauge: ["avg", "min", "max"],
};

export class Table {
  #table;
  #toggled;
  #columns = [];

  constructor(table, toggled) {
    this.#table = table;
    this.#toggled = toggled;
  }

  // `rows`: [{label, colour or null, hidden, and each aggregation's figure}]
  show(rows, heading, metric, aggregation) {
    this.#table.querySelector("#split-head").textContent = heading;
    this.#head(AGGREGATIONS[metric.kind] ?? Object.keys(HEADS), aggregation);
    const body = this.#table.tBodies[0];
    const known = new Map([...body.rows].map((line) => [line.dataset.label, line]));
    const lines = rows.map((row) => {
      const line = fits(known.get(row.label), row) ? known.get(row.label) : this.#line(row);
      fill(line, row, metric, aggregation, this.#columns);
      return line;
    });
    // Lines stay where they are if they can: a press that outlasts an update is still a click.
    if (lines.length === body.rows.length && lines.every((line, at) => line === body.rows[at])) return;
    const focused = document.activeElement?.closest?.("tr")?.dataset.label;
    body.replaceChildren(...lines);
    if (focused !== undefined) [...body.rows].find((line) => line.dataset.label === focused)?.querySelector("button")?.focus();
  }

  #head(columns, aggregation) {
    if (columns.join() !== this.#columns.join()) {
      this.#columns = columns;
      const row = this.#table.tHead.rows[0];
      row.replaceChildren(row.cells[0], ...columns.map((name) => {
        const head = document.createElement("th");
        head.scope = "col";
        head.dataset.aggregation = name;
        head.textContent = HEADS[name];
        return head;
      }));
      this.#table.tBodies[0].replaceChildren();
    }
    for (const head of this.#table.tHead.querySelectorAll("[data-aggregation]")) {
      head.className = head.dataset.aggregation === aggregation ? "number chosen" : "number";
    }
  }

  #line(row) {
    const line = document.createElement("tr");
    line.dataset.label = row.label;
    const head = document.createElement("th");
    head.scope = "row";
    const name = document.createElement(row.colour ? "button" : "span");
    name.className = "toggle";
    if (row.colour) {
      name.type = "button";
      name.addEventListener("click", () => this.#toggled(row.label));
    }
    const swatch = document.createElement("i");
    name.append(swatch, row.label);
    head.append(name);
    line.append(head, ...this.#columns.map(() => document.createElement("td")));
    return line;
  }
}

// Whether the line is one of its kind: with a button if it is on the chart, without if not.
function fits(line, row) {
  return line !== undefined && Boolean(line.querySelector("button")) === Boolean(row.colour);
}

function fill(line, row, metric, aggregation, columns) {
  const shown = Boolean(row.colour) && !row.hidden;
  const swatch = line.querySelector("i");
  swatch.className = shown ? "swatch" : "swatch off";
  swatch.style.background = shown ? row.colour : "";
  const toggle = line.querySelector("button");
  if (toggle) {
    toggle.setAttribute("aria-pressed", String(!row.hidden));
    toggle.title = row.hidden ? "Show on the chart" : "Hide from the chart";
  }
  line.querySelectorAll("td").forEach((cell, at) => {
    const name = columns[at];
    cell.className = name === aggregation ? "number chosen" : "number";
    cell.textContent = figure(row[name], unitOf(metric, name));
  });
}
