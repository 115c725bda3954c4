// Numbers with their units, times in the viewer's zone. Pure.

const NONE = "–";

function digits(value, places) {
  return value.toLocaleString("en", { minimumFractionDigits: places, maximumFractionDigits: places });
}

/** Bits per second. */
export function rate(bps) {
  if (bps === null || bps === undefined) return NONE;
  if (bps >= 1e6) return `${digits(bps / 1e6, bps >= 1e8 ? 0 : 2)} Mb/s`;
  return `${digits(bps / 1e3, 0)} kb/s`;
}

export function bytes(count) {
  if (count === null || count === undefined) return NONE;
  for (const [unit, size] of [["TB", 1e12], ["GB", 1e9], ["MB", 1e6]]) {
    if (count >= size) return `${digits(count / size, 1)} ${unit}`;
  }
  return `${digits(count / 1e3, 0)} kB`;
}

export function ms(value, places = 0) {
  return value === null || value === undefined ? NONE : `${digits(value, places)} ms`;
}

/** RTT: below ten milliseconds a tenth tells something. */
export function rtt(value) {
  return ms(value, value !== null && value < 10 ? 1 : 0);
}

export function percent(ratio) {
  return ratio === null || ratio === undefined ? NONE : `${digits(ratio * 100, ratio > 0 && ratio < 0.001 ? 2 : 1)} %`;
}

export function fps(value) {
  return value === null || value === undefined ? null : `${digits(value, Number.isInteger(value) ? 0 : 2)} fps`;
}

/** A duration as a clock shows it: 0:07, 12:34, 3:04:05, 2 d 03:04:05. */
export function duration(millis) {
  const total = Math.max(0, Math.floor(millis / 1000));
  const two = (value) => String(value).padStart(2, "0");
  const days = Math.floor(total / 86400);
  const hours = Math.floor(total / 3600) % 24;
  const rest = `${two(Math.floor(total / 60) % 60)}:${two(total % 60)}`;
  if (days) return `${days} d ${two(hours)}:${rest}`;
  if (hours) return `${hours}:${rest}`;
  return `${Math.floor(total / 60)}:${two(total % 60)}`;
}

/** Whole seconds until a moment; never below 0. */
export function secondsUntil(moment, now) {
  return Math.max(0, Math.ceil((moment - now) / 1000));
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat(undefined, {
  year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
  timeZoneName: "short", hourCycle: "h23",
});

export function clock(moment) {
  return CLOCK.format(moment);
}

export function date(moment) {
  return DAY.format(moment);
}

export function dbfs(value) {
  return value === null || value === undefined ? NONE : `${digits(value, 1)} dBFS`;
}
