// Numbers and units as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

export function figure(value, unit = "") {
  if (value === null || value === undefined) return "–";
  if (unit === "s") return duration(value);
  if (unit === "/min") return `${figure(value)}/min`;
  return Number.isInteger(value) || Math.abs(value) >= 1000 ? whole.format(value) : fine.format(value);
}

export function duration(seconds) {
  const size = Math.abs(seconds);
  if (size === 0) return "0 s";
  if (size < 1) return `${fine.format(seconds * 1000)} ms`;
  if (size < 120) return `${fine.format(seconds)} s`;
  if (size < 600) return two(seconds, 60, "min", "s");
  return size < 7200 ? `${whole.format(seconds / 60)} min` : two(Math.round(seconds / 60), 60, "h", "min");
}

function two(amount, size, great, small) {
  const rounded = Math.round(amount);
  const rest = rounded % size;
  return `${whole.format(Math.trunc(rounded / size))} ${great}${rest ? ` ${rest} ${small}` : ""}`;
}

// Counts have no unit, whatever is counted; every other aggregation has the metric's.
export function unitOf(metric, aggregation) {
  return aggregation === "rate" ? "/min" : aggregation === "count" ? "" : metric.unit;
}

// `parts`: "date" and "seconds", where they tell something.
export function clock(seconds, ...parts) {
  return new Date(seconds * 1000).toLocaleString("en-GB", {
    hour: "2-digit", minute: "2-digit",
    ...(parts.includes("seconds") ? { second: "2-digit" } : {}),
    ...(parts.includes("date") ? { weekday: "short", day: "numeric", month: "short" } : {}),
  });
}

// The zone in which all times of the page are: its name, and how far it is from UTC now.
export function zone() {
  const minutes = -new Date().getTimezoneOffset();
  const [hours, rest] = [Math.trunc(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  const two = (number) => String(number).padStart(2, "0");
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  const distance = `UTC${minutes < 0 ? "\u2212" : "+"}${two(hours)}:${two(rest)}`;
  return timeZone && timeZone !== "UTC" ? `${timeZone} (${distance})` : "UTC";
}

export function span(seconds) {
  if (seconds < 3600) return `${seconds / 60} minutes`;
  return seconds === 3600 ? "hour" : `${seconds / 3600} hours`;
}
