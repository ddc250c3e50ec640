// A plot of figures, one for each slot of time, by uPlot. It is loaded when the first plot is shown.

import { html } from "./ui.js";
import { useEffect, useRef, useState } from "./vendor/hooks.js";

const HEIGHT = 170;
const BAR_PART = 0.7;
const WIDEST_BAR = 48;
/** Room for the longest figure of the axis, in pixels of the page. */
const MARGIN = 8;
const LETTER = 7.5;
/** Steps of the axis: whole figures, parts of a whole, seconds up to a day. */
const COUNTS = [1, 2, 5].flatMap((one) => [0, 1, 2, 3, 4, 5, 6].map((power) => one * 10 ** power)).sort((one, other) => one - other);
const STEPS = {
  count: COUNTS,
  part: [0.1, 0.25, 0.5, 1],
  seconds: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 86_400, ...COUNTS.map((days) => days * 86_400)],
};
const FONT = '12px system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';

let loading = null;

function library() {
  loading ??= Promise.all([import("./vendor/uplot.js"), styles()]).then(([module]) => module.default);
  // What failed is tried again with the next plot.
  loading.catch(() => (loading = null));
  return loading;
}

function styles() {
  return new Promise((done, failed) => {
    const sheet = Object.assign(document.createElement("link"), { rel: "stylesheet", href: "/console/vendor/uplot.css", onload: done, onerror: failed });
    document.head.append(sheet);
  });
}

const dark = matchMedia("(prefers-color-scheme: dark)");

/**
 * `values`: a bar for each slot; `past`, if there is one: a dashed line. `names` of the slots; `show` writes a figure of that
 * `unit` (count, part, seconds); `told` is what a screen reader says of it.
 */
export function Plot({ told, values, past, names, show, unit, pastName }) {
  const place = useRef(null);
  const plot = useRef(null);
  const [at, point] = useState(null);
  const [failed, fail] = useState(false);
  const [scheme, turn] = useState(dark.matches);
  const data = [values.map((_, index) => index), values, ...(past ? [past] : [])];
  const shape = JSON.stringify([names, unit, Boolean(past), scheme]);
  const latest = useRef(null);
  latest.current = { data, names, show };

  useEffect(() => {
    const turned = () => turn(dark.matches);
    dark.addEventListener("change", turned);
    return () => dark.removeEventListener("change", turned);
  }, []);

  useEffect(() => {
    let gone = false;
    // It may yet be told of a place that is gone already.
    const seen = new ResizeObserver(() => place.current && plot.current?.setSize({ width: place.current.clientWidth, height: HEIGHT }));
    library().then(
      (UPlot) => {
        if (gone || !place.current) return;
        plot.current = new UPlot(options(UPlot, place.current, latest, { unit, withPast: Boolean(past), point }), latest.current.data, place.current);
        seen.observe(place.current);
      },
      () => gone || fail(true),
    );
    return () => {
      gone = true;
      seen.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape]);

  const figures = JSON.stringify(data);
  useEffect(() => plot.current?.setData(latest.current.data), [figures]);

  const read = at === null || at >= values.length ? null : [values[at], past?.[at]].map((value) => (value == null ? "nothing" : show(value)));
  return html`<div class="drawn" role="img" aria-label=${told} ref=${place}></div>
    <p class="read" aria-hidden="true">${failed
      ? "The plot could not be loaded; the tables below tell the same."
      : read && html`${names[at]}: <b class="figure">${read[0]}</b>${past && html`, ${pastName}: <span class="figure">${read[1]}</span>`}`}</p>`;
}

function options(UPlot, place, latest, { unit, withPast, point }) {
  const style = getComputedStyle(place);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const axis = { stroke: colour("quiet"), font: FONT, ticks: { show: false } };
  const written = (value) => latest.current.show(value);
  return {
    width: place.clientWidth,
    height: HEIGHT,
    padding: [10, MARGIN, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    scales: {
      x: { time: false, range: (_, from, to) => [from - 0.5, to + 0.5] },
      y: { range: (_, __, to) => [0, unit === "part" ? 1 : Math.max(1, to ?? 1) * 1.04] },
    },
    axes: [
      { ...axis, grid: { show: false }, size: 26, space: 64, incrs: [1, 2, 3, 4, 6, 7, 12, 14], values: (_, splits) => splits.map((at) => latest.current.names[at] ?? "") },
      {
        ...axis,
        grid: { stroke: colour("line"), width: 1 },
        space: 36,
        incrs: STEPS[unit],
        size: (_, shown) => MARGIN + LETTER * Math.max(3, ...(shown ?? []).map((one) => one.length)),
        values: (_, splits) => splits.map(written),
      },
    ],
    series: [
      {},
      { stroke: colour("accent"), fill: colour("accent"), width: 0, paths: UPlot.paths.bars({ size: [BAR_PART, WIDEST_BAR] }), points: { show: false } },
      ...(withPast ? [{ stroke: colour("ink"), width: 1.5, dash: [4, 3], points: { show: false } }] : []),
    ],
    hooks: { setCursor: [(drawn) => point(drawn.cursor.idx ?? null)] },
  };
}
