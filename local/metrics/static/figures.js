// Numbers and units as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

export function figure(value, unit = "") {
  if (value === null || value === undefined) return "–";
  if (unit === "s") return duration(value);
  return Number.isInteger(value) || Math.abs(value) >= 1000 ? whole.format(value) : fine.format(value);
}

export function duration(seconds) {
  const size = Math.abs(seconds);
  if (size === 0) return "0 s";
  if (size < 1) return `${fine.format(seconds * 1000)} ms`;
  if (size < 120) return `${fine.format(seconds)} s`;
  return `${fine.format(seconds / 60)} min`;
}

// Counts have no unit, whatever is counted; every other aggregation has the metric's.
export function unitOf(metric, aggregation) {
  return aggregation === "count" ? "" : metric.unit;
}

export function clock(seconds, withSeconds) {
  return new Date(seconds * 1000).toLocaleTimeString("en-GB", {
    hour: "2-digit", minute: "2-digit", ...(withSeconds ? { second: "2-digit" } : {}),
  });
}
