// Numbers, times and durations as the reader's own language writes them.

const LOCALES = navigator.languages;
const whole = new Intl.NumberFormat(LOCALES, { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat(LOCALES, { maximumFractionDigits: 1 });
const share = new Intl.NumberFormat(LOCALES, { style: "percent", maximumFractionDigits: 0 });
const hours = new Intl.DateTimeFormat(LOCALES, { timeStyle: "medium" });
const minutes = new Intl.DateTimeFormat(LOCALES, { timeStyle: "short" });
const moment = new Intl.DateTimeFormat(LOCALES, { dateStyle: "medium", timeStyle: "medium" });
const days = new Intl.DateTimeFormat(LOCALES, { weekday: "short", day: "numeric", month: "short" });
const relative = new Intl.RelativeTimeFormat(LOCALES, { numeric: "auto", style: "long" });
const units = Object.fromEntries(
  ["second", "minute", "hour", "day"].map((unit) => [unit, new Intl.NumberFormat(LOCALES, { style: "unit", unit, unitDisplay: "narrow" })]),
);

export const number = (value) => whole.format(value);
export const decimal = (value) => fine.format(value);
export const percent = (ratio) => share.format(ratio);
export const timeOfDay = (when) => hours.format(new Date(when));
export const hourAndMinute = (when) => minutes.format(new Date(when));
export const dayAndMonth = (when) => days.format(new Date(when));
export const full = (when) => moment.format(new Date(when));

/** "42s", "12m 5s", "3h 4m", "2d 5h". */
export function duration(seconds) {
  return parts(seconds).map(([value, unit]) => units[unit].format(value)).join(" ");
}

/** A number of whole minutes: "4m", "1h 20m". */
export function inMinutes(count) {
  return count < 60 ? units.minute.format(count) : duration(count * 60);
}

/** The time alone where it is today. */
export function shortMoment(when, now) {
  const date = new Date(when);
  return date.toDateString() === new Date(now).toDateString() ? hours.format(date) : moment.format(date);
}

/** "in 5 minutes", "2 hours ago". */
export function fromNow(when, now) {
  const seconds = (new Date(when) - now) / 1000;
  const size = Math.abs(seconds);
  if (size < 60) return relative.format(Math.round(seconds), "second");
  if (size < 3600) return relative.format(Math.round(seconds / 60), "minute");
  if (size < 86_400) return relative.format(Math.round(seconds / 3600), "hour");
  return relative.format(Math.round(seconds / 86_400), "day");
}

export function secondsSince(when, now) {
  return Math.max(0, (now - new Date(when)) / 1000);
}

/** A label's or a setting's value as text. */
export function plain(value) {
  if (typeof value === "number") return new Intl.NumberFormat(LOCALES, { maximumFractionDigits: 6 }).format(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  return value === null || value === undefined ? "" : String(value);
}

function parts(seconds) {
  const all = Math.max(0, Math.floor(seconds));
  if (all < 60) return [[all, "second"]];
  if (all < 3600) return [[Math.floor(all / 60), "minute"], [all % 60, "second"]];
  if (all < 86_400) return [[Math.floor(all / 3600), "hour"], [Math.floor((all % 3600) / 60), "minute"]];
  return [[Math.floor(all / 86_400), "day"], [Math.floor((all % 86_400) / 3600), "hour"]];
}
