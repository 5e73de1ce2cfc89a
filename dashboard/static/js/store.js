// What every page looks at: tickers, how flows are, instances, what happened. Bounded.

import { get } from "./api.js";
import { live } from "./live.js";

const MOST_EVENTS = 500;

export const store = {
  tickers: new Map(), // key -> ticker
  history: new Map(), // key -> last prices, for the sparkline
  status: null,       // {redis, flows}
  events: [],         // newest first: {topic, id, key, fields, at}
  instances: [],
  heard: new EventTarget(),
};

const SPARK = 60;
const SPARK_MS = 1000;
const QUIET_KINDS = new Set(["connected", "rotated"]);

/** What an event means to people: kind of mark, how bad, and words. */
export function meaning(event) {
  const f = event.fields;
  if (event.topic === "signals") {
    const words = { long: "long", short: "short", flat: "flat" }[f.side] ?? f.side;
    return { level: "signal", mark: { long: "▲", short: "▼" }[f.side] ?? "■", words: `${words} at ${f.price}: ${f.reason}`, who: f.instance };
  }
  if (event.topic === "fills") {
    return { level: "signal", mark: f.side === "buy" ? "B" : "S", words: `paper ${f.side} of ${f.quantity} at ${f.price}`, who: f.instance };
  }
  const count = Number(f.last_id) - Number(f.first_id) + 1;
  const trades = (n) => `${n} trade${n === 1 ? "" : "s"}`;
  switch (f.kind) {
    case "gap": return { level: "bad", mark: "✕", words: `${trades(count)} missing for good: ${f.reason ?? ""}` };
    case "gap_opened": return { level: "warn", mark: "…", words: `${trades(count)} missed, asking for them` };
    case "gap_repaired": return { level: "good", mark: "✓", words: `${trades(count)} repaired` };
    case "disconnected": return { level: "warn", mark: "!", words: `disconnected: ${f.reason ?? ""}` };
    case "connected": return { level: "info", mark: "·", words: "connected" };
    case "rotated": return { level: "info", mark: "·", words: "connection replaced without a break" };
    case "stale": return { level: "warn", mark: "!", words: `stale: ${f.reason ?? f.stream ?? ""}` };
    case "strategy_errored": return { level: "bad", mark: "✕", words: `stopped by an error`, who: f.instance };
    case "kline_mismatch": return { level: "bad", mark: "≠", words: `kline differs from the exchange's (${f.field ?? ""})` };
    case "instance_changed": return { level: "info", mark: "·", words: `${f.state}${f.detail ? `: ${f.detail}` : ""}`, who: f.instance };
    case "model_changed": return { level: "info", mark: "·", words: `model ${f.model}: ${f.state ?? ""}` };
    case "status_changed": return { level: "warn", mark: "!", words: `trading status ${f.status ?? ""}` };
    default: return { level: "info", mark: "·", words: (f.kind ?? "").replaceAll("_", " ") };
  }
}

export const isQuiet = (event) => event.topic === "events" && QUIET_KINDS.has(event.fields.kind);

function tell(what, detail) {
  store.heard.dispatchEvent(new CustomEvent(what, { detail }));
}

/** Hear of changes; returns the function that ends it. */
export function hear(what, listen) {
  const take = (event) => listen(event.detail);
  store.heard.addEventListener(what, take);
  return () => store.heard.removeEventListener(what, take);
}

export const nameOf = (key) => key.slice(key.indexOf(":") + 1);

export function keep(event) {
  store.events.unshift(event);
  if (store.events.length > MOST_EVENTS) store.events.length = MOST_EVENTS;
}

export async function loadInstances() {
  store.instances = await get("instances");
  tell("instances", store.instances);
  return store.instances;
}

/** The events before those that come live, newest first. */
export async function loadEvents() {
  const [events, signals] = await Promise.all(
    ["events", "signals"].map((kind) => get(kind, { limit: 100, order: "desc" }).catch(() => ({ items: [] }))));
  const old = [
    ...events.items.map((e) => ({ topic: "events", id: "", key: e.key, at: e.time_us / 1000, fields: { kind: e.kind, ...e.detail } })),
    ...signals.items.map((s) => ({ topic: "signals", id: "", key: s.key, at: s.time_us / 1000, fields: s })),
  ];
  store.events = old.sort((a, b) => b.at - a.at).slice(0, MOST_EVENTS);
  tell("events", null);
}

function spark(key, price) {
  const now = performance.now();
  let own = store.history.get(key);
  if (!own) store.history.set(key, (own = { at: 0, prices: [] }));
  if (now - own.at < SPARK_MS) {
    if (own.prices.length) own.prices[own.prices.length - 1] = price;
    return;
  }
  own.at = now;
  own.prices.push(price);
  if (own.prices.length > SPARK) own.prices.shift();
}

function timeOf(fields) {
  return Number(fields.time_us ?? 0) / 1000 || Number(fields.close_ms ?? 0) || Date.now();
}

live.addEventListener("frame", ({ detail: frame }) => {
  const latest = frame.latest ?? {};
  if (latest.ticker) {
    for (const [key, ticker] of Object.entries(latest.ticker)) {
      store.tickers.set(key, ticker);
      spark(key, Number(ticker.price));
    }
    tell("tickers", latest.ticker);
  }
  if (latest.status) {
    store.status = latest.status;
    tell("status", latest.status);
  }
  const news = (frame.events ?? []).filter((e) => !e.topic.startsWith("klines/"));
  for (const event of news) {
    event.at = timeOf(event.fields);
    if (event.topic === "events" || event.topic === "signals" || event.topic === "fills") keep(event);
  }
  if (news.length) tell("events", news);
  if (news.some((e) => e.fields.kind === "instance_changed" || e.fields.kind === "strategy_errored")) {
    loadInstances().catch(() => {});
  }
});

live.addEventListener("reset", () => {
  store.events = [];
  loadEvents().catch(() => {});
  tell("reset", null);
});
