// The Metrics page: first an operator's questions, then a chart of any metric. It asks the collector every two
// seconds and draws what the question in the address says.

import { Answers } from "./answers.js";
import * as collector from "./collector.js";
import { figure, span, unitOf, zone } from "./figures.js";
import { Filters } from "./filters.js";
import { Colours, DRAWN, Lines } from "./lines.js";
import * as questions from "./question.js";
import { AGGREGATIONS, Table } from "./table.js";
import { showTiles } from "./tiles.js";

const EVERY_MILLISECONDS = 2000;
const REQUESTS = "ApiRequestRouter";
const WORDS = { rate: "per minute", count: "count", sum: "sum", avg: "average", min: "least", max: "most" };
const STEPS = { 10: "10 seconds", 60: "1 minute", 300: "5 minutes", 900: "15 minutes", 3600: "1 hour" };

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

const answers = new Answers(element("answers"), (opened) => {
  Object.assign(question, opened);
  forget();
  ask();
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
element("windows").addEventListener("change", (event) => {
  question.window = event.target.value;
  question.grain = "";
  ask();
});
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
    ?? { name, title: name, unit: "", description: "", kind: "", dimensions: {}, dimensionTitles: {}, defaultAggregation: "count" };
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
  const asking = { ...question, grain: question.grain || questions.GRAINS[question.window] };
  try {
    const [told, listed, charted] = await Promise.all([
      collector.answers(question), collector.metrics(), collector.chart(asking),
    ]);
    if (mine !== asked) return;
    known = listed.metrics;
    answer = charted;
    answers.show(told, question);
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
  const named = known.map(({ name, title }) => [name, title]);
  if (!known.includes(metric)) named.unshift([metric.name, metric.title]);
  options(element("metric"), named, metric.name);
  const dimensions = new Set([...Object.keys(metric.dimensions), ...(question.split ? [question.split] : [])]);
  options(element("split"), [["", "Nothing"], ...[...dimensions].map((name) => [name, dimensionTitle(metric, name)])], question.split);
  const offered = new Set([...(AGGREGATIONS[metric.kind] ?? Object.keys(WORDS)), question.aggregation]);
  options(element("aggregation"), [...offered].map((name) => [name, capital(WORDS[name] ?? name)]), question.aggregation);
  options(element("grain"), answer.grains.map((grain) => [String(grain), STEPS[grain]]), String(answer.grain));
  for (const box of element("windows").querySelectorAll("input")) box.checked = box.value === question.window;
  filters.show(metric.dimensions, question.filters, metric.dimensionTitles);
}

function dimensionTitle(metric, name) {
  return metric.dimensionTitles[name] ?? name;
}

function capital(words) {
  return words.charAt(0).toUpperCase() + words.slice(1);
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
    label: question.split ? line.label : metric.title,
    colour: colours.of(line.label),
    hidden: hidden.has(question.split ? line.label : metric.title),
  }));
  const drawn = rows.filter((row) => row.colour && !row.hidden);
  const split = question.split && dimensionTitle(metric, question.split);
  const window = span(answer.window);
  element("chart-title").textContent =
    `${metric.title}, ${WORDS[question.aggregation] ?? question.aggregation}${split ? `, by ${split.toLowerCase()}` : ""}`;
  element("description").textContent = metric.description ? `${metric.description}.` : "";
  element("name").textContent = metric.name;
  element("zone").textContent = `Times are in ${zone()}.`;
  element("table-title").textContent = `Each line over the last ${window}`;
  element("empty-window").textContent = window;
  lines.draw(answer.times, drawn, unit, answer.grain, answer.window);
  table.show(rows, split || "Line", metric, question.aggregation);
  element("empty").hidden = rows.length > 0;
  element("chart-words").textContent = rows.length === 0
    ? "Nothing was measured."
    : `${rows.length} ${rows.length === 1 ? "line" : "lines"}: `
      + rows.slice(0, DRAWN).map((row) => `${row.label} ${figure(row[question.aggregation], unit)}`).join(", ");
}

await ask();
setInterval(() => { if (!paused && !document.hidden) ask(); }, EVERY_MILLISECONDS);
