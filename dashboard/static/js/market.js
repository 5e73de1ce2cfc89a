// The market page: chart, watch list, trades, signals.

import { download, get, pages } from "./api.js";
import { barOf, KlineChart, STUDIES } from "./chart.js";
import { empty, fill, h, heads, skeleton, text, toast } from "./dom.js";
import * as format from "./format.js";
import * as keys from "./keys.js";
import { live } from "./live.js";
import { hear, meaning, nameOf, store } from "./store.js";
import { Tape } from "./tape.js";
import { Watch } from "./watch.js";

const FIRST_BARS = 1000;
const OLDER_BARS = 1000;
const WAIT_MS = 20000;

const chosen = { studies: ["bollinger", "volume", "macd", "rsi", "signals", "gaps"] };
try {
  const kept = JSON.parse(localStorage.getItem("studies"));
  if (Array.isArray(kept)) chosen.studies = kept.filter((one) => one in STUDIES);
} catch { /* the defaults hold */ }

let page = null;

for (const [key, by] of [["j", 1], ["k", -1]]) keys.bind(key, by > 0 ? "Next symbol" : "Symbol before", () => page?.watch.step(by), "market");
keys.bind("/", "Search symbols", () => page?.watch.input.focus(), "market");
keys.bind("Space", "Hold the tape still", () => page?.hold(), "market");
keys.bind("End", "Newest kline", () => page?.chart?.now(), "market");
keys.bind("ArrowLeft", "Back in time", () => page?.chart?.scroll(-10), "market");
keys.bind("ArrowRight", "Forward", () => page?.chart?.scroll(10), "market");
for (let n = 1; n <= 9; n += 1) keys.bind(String(n), n === 1 ? "Interval 1, 2, 3 …" : "", () => page?.interval(n - 1), "market");

export function marketPage(main, [symbol, interval]) {
  page = new Market(main, symbol, interval);
  return {
    move: ([other, length]) => page.go(other, length),
    leave: () => {
      page.leave();
      page = null;
    },
  };
}

class Market {
  constructor(main, symbol, interval) {
    this.intervals = [];
    this.length = interval || "1m";
    this.epoch = 0;
    this.watch = new Watch({ chosen: null, onChoose: (key) => this.move(nameOf(key), this.length) });
    this.tape = new Tape();
    this.legend = h("div.legend", { id: "legend" });
    this.card = h("div.card", { hidden: true });
    this.canvas = h("div.canvas", { role: "application", tabindex: "0", "aria-label": "Kline chart", id: "chart" });
    this.cover = h("div.cover");
    this.buttons = h("div.seg", { role: "group", "aria-label": "Interval", id: "intervals" });
    this.signals = h("ol.signals", { id: "signals" });
    this.studyBox = this.#studies();
    fill(main, h("div.market",
      this.watch.node,
      h("section.panel.charting",
        h("header", h("h1", { id: "symbol" }, "…"), this.buttons, this.studyBox,
          h("div.row.push",
            h("button.ghost", { title: "To the newest kline (End)", onclick: () => this.chart?.now() }, "Now"),
            h("button.ghost", { title: "Klines as CSV", onclick: () => this.#csv() }, "CSV"),
            h("button.ghost", { title: "Picture of the chart", onclick: () => this.#picture() }, "PNG"))),
        this.legend, h("div.stage", this.canvas, this.cover, this.card), this.#table()),
      h("div.aside", this.tape.node,
        h("section.panel.signalling", h("header", h("h2", "Signals")), this.signals))));
    this.ends = [
      () => this.watch.destroy(),
      hear("events", (events) => this.#events(events)),
      hear("status", () => this.#lengths()),
      hear("reset", () => this.#load()),
      hear("tickers", () => this.#first()),
    ];
    this.onFrame = ({ detail }) => this.#frame(detail);
    live.addEventListener("frame", this.onFrame);
    this.timer = setInterval(() => this.#second(), 500);
    this.#lengths();
    this.wanted = symbol?.toUpperCase();
    this.#cover(h("div.loading", skeleton(6), h("p", "Waiting for the first symbol …")));
    this.started = performance.now();
    this.#first();
    this.#drawSignals();
  }

  leave() {
    this.ends.forEach((end) => end());
    this.unwant?.();
    live.removeEventListener("frame", this.onFrame);
    clearInterval(this.timer);
    clearTimeout(this.asked);
    this.abort?.abort();
    this.chart?.destroy();
  }

  hold() {
    this.tape.pause(!this.tape.still);
    toast(this.tape.still ? "The tape is held" : "The tape goes on", "ok", 1.5);
  }

  interval(n) {
    if (this.intervals[n]) this.move(nameOf(this.key ?? this.wanted ?? ""), this.intervals[n]);
  }

  move(symbol, length) {
    location.hash = `#/market/${encodeURIComponent(symbol)}/${length}`;
  }

  /** The address changed: show another symbol or interval; the page stays. */
  go(symbol, length) {
    this.length = length || this.length;
    const key = this.#keyOf(symbol);
    if (key) this.#show(key);
    else if (symbol) {
      this.wanted = symbol.toUpperCase();
      this.key = null;
      this.#first();
    }
    return true;
  }

  #keyOf(symbol) {
    const wanted = symbol?.toUpperCase();
    return [...store.tickers.keys()].find((key) => nameOf(key) === wanted || key.toUpperCase() === wanted);
  }

  #first() {
    if (this.key) return;
    const all = this.watch.symbols();
    const key = this.wanted ? this.#keyOf(this.wanted) : all.find((k) => nameOf(k) === "BTCUSDT") ?? all[0];
    if (key) this.#show(key);
    else if (this.wanted && all.length) {
      this.#cover(empty(`${this.wanted} is not followed`, "Search it on the left to follow it, or choose another symbol."));
    }
  }

  #lengths() {
    const flow = Object.values(store.status?.flows ?? {})[0];
    const found = flow?.intervals?.length ? flow.intervals : null;
    if (found) this.intervals = found;
    // Until it is known which ones are built, what the address says holds.
    if (found && !found.includes(this.length)) this.length = this.intervals.includes("1m") ? "1m" : this.intervals[0];
    const drawn = this.intervals.join() + this.length;
    if (drawn === this.drawnLengths) return;
    this.drawnLengths = drawn;
    fill(this.buttons, (found ?? [this.length]).map((name) => h("button", {
      "aria-pressed": String(name === this.length), onclick: () => this.move(nameOf(this.key ?? ""), name),
    }, name)));
  }

  #studies() {
    return h("details.menu", h("summary", "Studies"), h("div.list", Object.entries(STUDIES).map(([name, words]) =>
      h("label", h("input", {
        type: "checkbox", checked: chosen.studies.includes(name),
        onchange: () => {
          chosen.studies = chosen.studies.includes(name) ? chosen.studies.filter((s) => s !== name) : [...chosen.studies, name];
          try {
            localStorage.setItem("studies", JSON.stringify(chosen.studies));
          } catch { /* not kept */ }
          this.chart?.toggle(name);
        },
      }), words))));
  }

  #table() {
    const body = h("tbody");
    const node = h("details.table", { ontoggle: () => node.open && this.#fillTable(body) },
      h("summary", "Last 20 klines as a table"),
      h("div.scroll", h("table", h("thead", h("tr", heads("time", "#open", "#high", "#low", "#close", "#volume", "#trades", "complete"))), body)));
    return node;
  }

  #fillTable(body) {
    const bars = (this.chart?.bars ?? []).slice(-20).reverse();
    fill(body, bars.map(({ time, text: k, complete }) => h("tr",
      h("th", { scope: "row" }, format.stamp(time * 1000)),
      ["open", "high", "low", "close", "volume"].map((n) => h("td.num", format.trimmed(k[n], 2))),
      h("td.num", String(k.trades)), h("td", complete ? "yes" : "no"))));
  }

  #show(key) {
    this.key = key;
    this.wanted = nameOf(key);
    this.watch.choose(key);
    text(document.getElementById("symbol"), nameOf(key));
    document.title = `${nameOf(key)} ${this.length} · CryptoTools`;
    this.#lengths();
    const path = `#/market/${encodeURIComponent(nameOf(key))}/${this.length}`;
    if (location.hash !== path) history.replaceState(null, "", path);
    this.unwant?.();
    const name = nameOf(key);
    this.unwant = live.want(`klines/${name}/${this.length}`, `trades/${name}`);
    this.tape.clear();
    this.#drawSignals();
    this.#load();
  }

  async #load() {
    if (!this.key) return;
    this.epoch += 1;
    const epoch = this.epoch, name = nameOf(this.key), length = this.length;
    this.abort?.abort();
    this.abort = new AbortController();
    this.pending = [];
    if (!this.chart?.bars.length || this.shown !== `${this.key} ${length}`) this.#cover(h("div.loading", skeleton(6)));
    const options = { signal: this.abort.signal };
    try {
      const klines = await pages(`klines/${encodeURIComponent(this.key)}`, { interval: length, limit: FIRST_BARS, order: "desc", forming: true }, FIRST_BARS, options);
      if (epoch !== this.epoch) return;
      this.#draw(klines, length);
      this.#marks(name, length, options, epoch);
    } catch (problem) {
      if (problem.name === "AbortError") return;
      this.#cover(empty("The klines cannot be had", `${problem.message}${problem.hint ? ` — ${problem.hint}` : ""}`,
        h("button", { onclick: () => this.#load() }, "Try again")));
    }
  }

  #draw(klines, length) {
    if (!klines.length) {
      this.shown = `${this.key} ${length}`;
      this.chart?.set([], 2);
      this.#cover(empty("No kline yet", `The first one of ${length} is on its way.`));
      return;
    }
    const same = this.shown === `${this.key} ${length}` && this.chart?.bars.length > 0;
    this.chart ??= new KlineChart(this.canvas, {
      studies: chosen.studies,
      onHover: (bar, marks, point) => this.#hover(bar, marks, point),
      onNeedOlder: (time) => this.#older(time),
    });
    const places = Math.max(...klines.slice(0, 50).map((k) => format.places(format.trimmed(k.close, 2))));
    this.chart.set(klines.map(barOf).reverse(), places, same);
    const early = this.pending;
    this.pending = null;
    for (const bar of early) this.#bar(bar);
    this.shown = `${this.key} ${length}`;
    this.done = klines.length < FIRST_BARS;
    this.#cover(null);
    this.#hover(null, []);
    if (!this.measured) {
      this.measured = true;
      performance.measure("first-candle", { start: 0, end: performance.now() });
    }
  }

  async #marks(name, length, options, epoch) {
    const from = this.chart.bars[0].time;
    const start = new Date(from * 1000).toISOString();
    const [signals, gaps] = await Promise.all([
      get("signals", { symbol: this.key, from: start, limit: 200, order: "desc" }, options).catch(() => ({ items: [] })),
      get("events", { symbol: this.key, from: start, limit: 500, order: "desc" }, options).catch(() => ({ items: [] })),
    ]);
    if (epoch !== this.epoch) return;
    this.chart.setMarks(signals.items.reverse().map((s) => ({
      time: Math.floor(s.time_us / 1e6), side: s.side, words: s.reason, who: s.instance, price: s.price, interval: s.interval,
    })));
    this.holes = gaps.items.filter((e) => ["gap", "gap_repaired"].includes(e.kind)).map((e) => this.#hole(e.kind, e.time_us / 1e6, e.detail)).slice(0, 100);
    this.chart.setHoles(this.holes);
  }

  // A hole's trades lie before the moment it was mended; how long before, its event may say.
  #hole(kind, at, detail) {
    const since = Number(detail.from_us ?? detail.start_us ?? 0) / 1e6;
    return { from: since || at - 1, to: at, healed: kind === "gap_repaired" };
  }

  async #older(time) {
    if (this.fetching || this.done || !this.key) return;
    this.fetching = true;
    const epoch = this.epoch;
    try {
      const klines = await pages(`klines/${encodeURIComponent(this.key)}`, {
        interval: this.length, limit: OLDER_BARS, order: "desc", to: new Date(time * 1000).toISOString(),
      }, OLDER_BARS);
      if (epoch !== this.epoch) return;
      this.done = klines.length < OLDER_BARS;
      if (klines.length) this.chart.prepend(klines.map(barOf).reverse());
    } catch {
      this.done = true;
    } finally {
      this.fetching = false;
    }
  }

  #frame(frame) {
    if (!this.key) return;
    const name = nameOf(this.key), topic = `klines/${name}/${this.length}`;
    const tape = frame.tape?.[`trades/${name}`];
    if (tape) this.tape.take(tape);
    for (const event of frame.events ?? []) {
      if (event.topic === topic) this.#bar(barOf(event.fields));
    }
    const forming = frame.latest?.[topic] ?? frame.latest?.klines?.[name]?.[this.length];
    if (forming) this.#bar(barOf(forming));
  }

  #bar(bar) {
    if (this.pending) {
      this.pending.push(bar);
      if (this.pending.length > 500) this.pending.shift();
      return;
    }
    if (!this.chart) return;
    const last = this.chart.bars.at(-1);
    const step = format.lengthOf(this.length) / 1000;
    const skips = last && bar.time > last.time + step * 1.5 && step < 86400;
    // A later kline while the last one never became final: what ended it was missed, between the
    // page's question and the first frame. What is drawn must be what is recorded: ask again.
    if (!last || skips || (bar.time > last.time && last.forming)) {
      this.#again();
      return;
    }
    this.chart.update(bar);
    if (!this.hovering) this.#legend(this.chart.bars.at(-1));
  }

  #again() {
    if (this.asked) return;
    this.asked = setTimeout(() => {
      this.asked = null;
      this.#load();
    }, 300);
  }

  #events(events) {
    if (!events || !this.key) {
      this.#drawSignals();
      return;
    }
    for (const event of events) {
      if (event.key !== this.key) continue;
      const f = event.fields;
      if (event.topic === "signals") {
        this.chart?.addMark({ time: Math.floor(Number(f.close_ms) / 1000), side: f.side, words: f.reason, who: f.instance, price: f.price, interval: f.interval });
      } else if (f.kind === "gap" || f.kind === "gap_repaired") {
        this.holes = [...(this.holes ?? []).slice(-99), this.#hole(f.kind, event.at / 1000, f)];
        this.chart?.setHoles(this.holes);
      }
    }
    this.#drawSignals();
  }

  #drawSignals() {
    const own = store.events.filter((e) => e.topic === "signals").slice(0, 60);
    if (!own.length) {
      fill(this.signals, h("li", empty("No signal yet", "Strategies say something when their rule is met.")));
      return;
    }
    fill(this.signals, own.map((event) => {
      const told = meaning(event);
      return h(`li.${event.fields.side}${event.key === this.key ? ".own" : ""}`, h("button", { title: told.words, onclick: () => this.#jump(event) },
        h("i", told.mark), h("b", nameOf(event.key)), h("span.who", told.who), h("time", format.clock(event.at)), h("span.why", told.words)));
    }));
  }

  #jump(event) {
    const time = Math.floor(event.at / 1000);
    if (event.key !== this.key) this.move(nameOf(event.key), this.length);
    else this.chart?.show(time);
  }

  #hover(bar, marks, point) {
    this.hovering = Boolean(bar);
    this.#legend(bar ?? this.chart?.bars.at(-1));
    const card = this.card;
    card.hidden = !(marks?.length && point);
    if (card.hidden) return;
    fill(card, marks.slice(-4).map((m) => h("div", h("b", `${{ long: "▲", short: "▼" }[m.side] ?? "■"} ${m.side}`), ` ${m.who} `, h("span.dim", m.interval), h("p", m.words), h("p.dim", `at ${m.price}`))));
    const wide = this.canvas.clientWidth;
    card.classList.toggle("left", point.x > wide / 2);
  }

  #legend(bar) {
    if (!bar) {
      fill(this.legend);
      return;
    }
    const values = this.chart.values(bar.time) ?? {}, k = bar.text, up = bar.close >= bar.open;
    const fixed = (x) => (x === null || x === undefined ? "–" : x.toFixed(Math.min(this.chart.places, 6)));
    const part = (name, value, cls = "") => h(`span.v${cls}`, h("i", name), value);
    fill(this.legend,
      h("span.v.when", format.stamp(bar.time * 1000)),
      part("O", format.trimmed(k.open, 2)), part("H", format.trimmed(k.high, 2)), part("L", format.trimmed(k.low, 2)), part("C", format.trimmed(k.close, 2)),
      h(`span.v.${up ? "up" : "down"}`, `${up ? "▲" : "▼"} ${format.percent(format.change(k.open, k.close))}`),
      part("Vol", format.short(bar.volume)),
      bar.complete || bar.forming ? null : h("span.v.doubt", { title: "A gap is inside, or its start was not seen" }, "incomplete"),
      bar.revision ? h("span.v.doubt", `revision ${bar.revision}`) : null,
      this.chart.studies.has("bollinger") ? part("BB", `${fixed(values.lower)} … ${fixed(values.upper)}`, ".study") : null,
      this.chart.studies.has("macd") ? part("MACD", fixed(values.macd), ".study") : null,
      this.chart.studies.has("rsi") ? part("RSI", values.rsi === null || values.rsi === undefined ? "–" : values.rsi.toFixed(1), ".study") : null);
  }

  #second() {
    const last = this.chart?.bars.at(-1);
    if (last && this.key) {
      const ticker = store.tickers.get(this.key);
      // The exchange's time: what the data say, and what has passed since.
      const told = Number(ticker?.time_us ?? 0) / 1000;
      const end = last.time * 1000 + format.lengthOf(this.length);
      const left = (end - Math.max(told, last.time * 1000)) / 1000;
      this.chart.countdown(last.forming && left >= 0 && left * 1000 <= format.lengthOf(this.length) ? format.span(left) : "");
      this.canvas.setAttribute("aria-label", `Kline chart of ${nameOf(this.key)}, ${this.length}, last price ${last.text.close}`);
    }
    if (!this.key && performance.now() - this.started > WAIT_MS && !store.tickers.size) {
      this.#cover(empty("Nothing is followed", "Search a symbol on the left, or start a flow with `cryptotools up`."));
      this.started = Infinity;
    }
  }

  #cover(node) {
    this.cover.hidden = !node;
    fill(this.cover, node);
  }

  async #csv() {
    const range = this.chart?.bars;
    if (!range?.length) return;
    try {
      await download(`klines/${encodeURIComponent(this.key)}`, {
        interval: this.length, from: new Date(range[0].time * 1000).toISOString(), format: "csv",
      }, `${nameOf(this.key)}-${this.length}.csv`);
    } catch (problem) {
      toast(problem.message, "bad");
    }
  }

  #picture() {
    if (!this.chart) return;
    const link = document.createElement("a");
    link.href = this.chart.screenshot().toDataURL("image/png");
    link.download = `${nameOf(this.key)}-${this.length}.png`;
    link.click();
  }
}
