// The Metrics page: asks the collector every two seconds and draws what the question in the address says.

import * as collector from "./collector.js";
import { figure, unitOf } from "./figures.js";
import { Filters } from "./filters.js";
import { Colours, DRAWN, Lines } from "./lines.js";
import * as questions from "./question.js";
import { Table } from "./table.js";
import { showTiles } from "./tiles.js";

const EVERY_MILLISECONDS = 2000;
const REQUESTS = "ApiRequestRouter";

const element = (id) => document.getElementById(id);
const question = questions.read();
const hidden = new Set();
const colours = new Colours();
const lines = new Lines(element("chart"));
const filters = new Filters(element("filters"), ask);
const table = new Table(element("table"), (label) => {
  if (!hidden.delete(label)) hidden.add(label);
  draw();
});

let known = [];
let answer = null;
let asked = 0;
let paused = false;

for (const id of ["metric", "aggregation", "split", "grain"]) {
  element(id).addEventListener("change", (event) => {
    question[id] = event.target.value;
    if (id === "metric") chooseMetric(metricNamed(question.metric));
    forget();
    ask();
  });
}
element("question").addEventListener("submit", (event) => event.preventDefault());
element("pause").addEventListener("click", () => {
  paused = !paused;
  element("pause").setAttribute("aria-pressed", String(paused));
  element("pause").textContent = paused ? "Resume" : "Pause";
  if (paused) say("paused", "Paused");
  else ask();
});
addEventListener("hashchange", () => {
  Object.assign(question, questions.read());
  forget();
  ask();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

function metricNamed(name) {
  return known.find((metric) => metric.name === name)
    ?? { name, unit: "", description: "", dimensions: {}, defaultAggregation: "count" };
}

function chooseMetric(metric) {
  question.metric = metric.name;
  question.aggregation = metric.defaultAggregation;
  question.split = "";
  question.filters = {};
}

// Another question has other lines: none is hidden, and the colours begin anew.
function forget() {
  hidden.clear();
  colours.clear();
}

// Asks both questions; an answer that a later question has overtaken is dropped.
async function ask() {
  const mine = ++asked;
  questions.write(question);
  try {
    const [listed, charted] = await Promise.all([collector.metrics(), collector.chart(question)]);
    if (mine !== asked) return;
    known = listed.metrics;
    answer = charted;
    showQuestion();
    draw();
    showTiles(element("tiles"), known.filter((metric) => metric.name !== REQUESTS), question.metric, (metric) => {
      chooseMetric(metric);
      forget();
      ask();
    });
    element("dropped").hidden = listed.droppedPoints === 0;
    element("dropped").textContent = `${listed.droppedPoints} points found no room: there are too many series.`;
    if (!paused) say("live", "Live");
  } catch (error) {
    if (mine === asked) say("lost", `No answer from the collector (${error.message})`);
  }
}

function say(state, words) {
  if (element("state").textContent === words) return;
  element("state").dataset.state = state;
  element("state").textContent = words;
}

function showQuestion() {
  const metric = metricNamed(question.metric);
  const named = known.map(({ name }) => name);
  if (!named.includes(metric.name)) named.unshift(metric.name);
  options(element("metric"), named.map((name) => [name, name]), metric.name);
  const dimensions = new Set([...Object.keys(metric.dimensions), ...(question.split ? [question.split] : [])]);
  options(element("split"), [["", "Nothing"], ...[...dimensions].map((name) => [name, name])], question.split);
  element("aggregation").value = question.aggregation;
  element("grain").value = question.grain;
  filters.show(metric.dimensions, question.filters);
}

function options(select, pairs, chosen) {
  const shape = JSON.stringify(pairs);
  if (select.dataset.shape !== shape) {
    select.dataset.shape = shape;
    select.replaceChildren(...pairs.map(([value, text]) => new Option(text, value)));
  }
  select.value = chosen;
}

function draw() {
  if (answer === null) return;
  const metric = metricNamed(question.metric);
  const unit = unitOf(metric, question.aggregation);
  colours.assign(answer.lines.slice(0, DRAWN).map((line) => line.label));
  const rows = answer.lines.map((line) => ({
    ...line,
    colour: colours.of(line.label),
    hidden: hidden.has(line.label),
  }));
  const drawn = rows.filter((row) => row.colour && !row.hidden);
  const name = element("aggregation").selectedOptions[0]?.text ?? question.aggregation;
  element("chart-title").textContent =
    `${name} of ${metric.name}${question.split ? ` by ${question.split}` : ""}`;
  element("description").textContent = metric.description;
  lines.draw(answer.times, drawn, unit, answer.grain);
  table.show(rows, question.split || "Series", metric, question.aggregation);
  element("empty").hidden = rows.length > 0;
  element("chart-words").textContent = rows.length === 0
    ? "Nothing was measured."
    : `${rows.length} ${rows.length === 1 ? "line" : "lines"}: `
      + rows.slice(0, DRAWN).map((row) => `${row.label} ${figure(row[question.aggregation], unit)}`).join(", ");
}

await ask();
setInterval(() => { if (!paused && !document.hidden) ask(); }, EVERY_MILLISECONDS);
