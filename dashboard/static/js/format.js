// Numbers and times as people read them. Pure functions; amounts stay text as long as they can.

export const state = { utc: true };

const pad = (n, width = 2) => String(n).padStart(width, "0");

function parts(ms) {
  const d = new Date(ms);
  return state.utc
    ? [d.getUTCFullYear(), d.getUTCMonth() + 1, d.getUTCDate(), d.getUTCHours(), d.getUTCMinutes(), d.getUTCSeconds()]
    : [d.getFullYear(), d.getMonth() + 1, d.getDate(), d.getHours(), d.getMinutes(), d.getSeconds()];
}

/** 14:03:09 */
export function clock(ms) {
  const [, , , hour, minute, second] = parts(ms);
  return `${pad(hour)}:${pad(minute)}:${pad(second)}`;
}

/** 2026-01-31 14:03 */
export function stamp(ms, seconds = false) {
  const [year, month, day, hour, minute, second] = parts(ms);
  const time = `${pad(hour)}:${pad(minute)}` + (seconds ? `:${pad(second)}` : "");
  return `${year}-${pad(month)}-${pad(day)} ${time}`;
}

/** 2026-01-31, always UTC: days of the record are. */
export function day(ms) {
  return new Date(ms).toISOString().slice(0, 10);
}

/** Groups the whole part of a decimal text: 67123.45 → 67,123.45 */
export function grouped(textual) {
  const [sign, rest] = textual.startsWith("-") ? ["−", textual.slice(1)] : ["", textual];
  const [whole, fraction] = rest.split(".");
  const head = whole.replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  return sign + head + (fraction === undefined ? "" : `.${fraction}`);
}

/** Without zeros at the end, as many as `least` decimal places kept. */
export function trimmed(textual, least = 0) {
  if (!textual.includes(".")) return textual;
  const [whole, fraction] = textual.split(".");
  let kept = fraction.replace(/0+$/, "");
  while (kept.length < least) kept += "0";
  return kept ? `${whole}.${kept}` : whole;
}

/** Decimal places of a decimal text. */
export function places(textual) {
  const dot = textual.indexOf(".");
  return dot < 0 ? 0 : textual.length - dot - 1;
}

/** +1.23 % with a true minus; the sign is always there, so no colour is needed to see it. */
export function percent(number, digits = 2) {
  if (number === null || number === undefined || !Number.isFinite(number)) return "–";
  const shown = Math.abs(number).toFixed(digits);
  const sign = Number(shown) === 0 ? "±" : number > 0 ? "+" : "−";
  return `${sign}${shown} %`;
}

/** 1,234,567 → 1.23 M */
export function short(number) {
  if (!Number.isFinite(number)) return "–";
  const size = Math.abs(number);
  for (const [unit, value] of [["T", 1e12], ["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (size >= value) return `${(number / value).toFixed(size >= value * 100 ? 0 : 2)} ${unit}`;
  }
  if (!size) return "0";
  return size >= 100 ? number.toFixed(0) : size >= 1 ? number.toFixed(1) : number.toPrecision(2);
}

/** 3 d 04:05:06 */
export function span(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  let rest = Math.max(0, Math.floor(seconds));
  const days = Math.floor(rest / 86400);
  rest -= days * 86400;
  const hms = `${pad(Math.floor(rest / 3600))}:${pad(Math.floor(rest / 60) % 60)}:${pad(rest % 60)}`;
  return days ? `${days} d ${hms}` : hms.replace(/^00:/, "");
}

/** 0.3 s, 12 s, 4 min, 3 h */
export function ago(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

/** 123.4 MiB */
export function bytes(count) {
  if (!Number.isFinite(count)) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (count >= 1024 && at < units.length - 1) {
    count /= 1024;
    at += 1;
  }
  return `${count.toFixed(at && count < 100 ? 1 : 0)} ${units[at]}`;
}

/** Milliseconds of an interval's name: 1m → 60000; 1M counts as 30 days. */
export function lengthOf(name) {
  const unit = { s: 1e3, m: 6e4, h: 36e5, d: 864e5, w: 6048e5, M: 2592e6 }[name.slice(-1)];
  return Number(name.slice(0, -1)) * unit;
}

/** A decimal difference as text would be exact; for looks a number is enough. */
export function change(from, to) {
  const a = Number(from);
  return a ? ((Number(to) - a) / a) * 100 : null;
}
