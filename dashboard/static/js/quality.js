// The data-quality page: what is open, what was mended, what is proven.

import { get } from "./api.js";
import { empty, fill, h, heads, skeleton } from "./dom.js";
import * as format from "./format.js";
import { Parity } from "./parity.js";
import { hear, meaning, nameOf, store } from "./store.js";

const DAYS = 35;
const STATES = {
  complete: ["✓", "complete"],
  "complete-repaired": ["✓", "complete, repaired"],
  "complete-with-halt": ["✓", "complete, with a halt"],
  incomplete: ["✕", "incomplete"],
  open: ["…", "not over yet"],
  unchecked: ["?", "not looked at yet"],
  none: ["", "nothing is held"],
};

export function qualityPage(main) {
  const page = new Quality(main);
  return { move: () => true, leave: () => page.leave() };
}

class Quality {
  constructor(main) {
    this.links = h("tbody", { id: "links" });
    this.symbols = h("tbody", { id: "complete" });
    this.calendar = h("div.calendar", { id: "calendar" }, skeleton(5));
    this.log = h("ol.log", { id: "quality-log", tabindex: "0", "aria-label": "What happened to the data" });
    this.books = h("dl.figures");
    this.parity = new Parity();
    fill(main, h("div.grid.two",
      h("section.panel", h("header", h("h1", "Connections")), h("div.scroll", h("table",
        h("thead", h("tr", heads("connection", "#symbols", "#age", "#next rotation", "#messages"))), this.links))),
      h("section.panel", h("header", h("h1", "Books")), this.books,
        h("p.dim", "Every row that came was accepted, dropped as a duplicate or rejected; every accepted one is stored.")),
      h("section.panel", h("header", h("h1", "Symbols")), h("div.scroll", h("table",
        h("thead", h("tr", heads("symbol", "complete until", "#behind", "#gaps open", "#last id"))), this.symbols))),
      h("section.panel", h("header", h("h1", "Certificates"), h("span.dim", `last ${DAYS} days, UTC`)), this.calendar,
        h("p.legendary", Object.entries(STATES).map(([name, [mark, words]]) => h("span", h(`i.day.${name}`, mark), words)))),
      this.parity.panel,
      h("section.panel.whole", h("header", h("h1", "What happened to the data")), this.log)));
    this.ends = [hear("events", () => this.#log()), hear("status", () => this.#reload())];
    this.at = 0;
    this.#log();
    this.#reload();
    this.#days();
    this.timer = setInterval(() => this.#reload(), 2000);
  }

  leave() {
    this.ends.forEach((end) => end());
    clearInterval(this.timer);
    this.parity.leave();
    this.gone = true;
  }

  async #reload() {
    if (document.hidden || performance.now() - this.at < 1900) return;
    this.at = performance.now();
    let flows;
    try {
      flows = Object.values(await get("/status"));
    } catch {
      return; // the pill says so
    }
    if (this.gone) return;
    const links = flows.flatMap((f) => Object.values(f.processes).flatMap((p) => p.connections ?? []));
    fill(this.links, links.length ? links.map((c) => h("tr",
      h("th", { scope: "row" }, `${c.shard} · link ${c.link}`), h("td.num", String(c.symbols)), h("td.num", format.span(c.age_s)),
      h("td.num", c.rotates_in_s === null ? "never" : `in ${format.span(c.rotates_in_s)}`),
      h("td.num", c.msgs_s === undefined || c.msgs_s === null ? "–" : `${format.short(c.msgs_s)}/s`))) : h("tr", h("td", { colspan: 5 }, "Nothing is connected.")));
    const symbols = flows.flatMap((f) => Object.entries(f.symbols));
    fill(this.symbols, symbols.length ? symbols.map(([key, one]) => h(`tr${one.gaps_open ? ".warn" : ""}`,
      h("th", { scope: "row" }, h("a", { href: `#/market/${encodeURIComponent(nameOf(key))}` }, nameOf(key))),
      h("td", one.known_until ? one.known_until.slice(0, 19).replace("T", " ") : "–"), h("td.num", format.ago(one.lag_s)),
      h("td.num", one.gaps_open ? `▲ ${one.gaps_open}` : "0"), h("td.num", one.last_id === null ? "–" : format.grouped(String(one.last_id))))) : h("tr", h("td", { colspan: 5 }, "No symbol is followed.")));
    this.#books(flows);
    this.until = symbols.map(([, one]) => Date.parse(one.known_until)).filter(Number.isFinite);
    const names = symbols.map(([key]) => key).sort().join();
    if (names !== this.names) {
      this.names = names;
      this.#days();
    }
  }

  #books(flows) {
    const total = {};
    for (const flow of flows) for (const [name, n] of Object.entries(flow.rows)) total[name] = (total[name] ?? 0) + n;
    const pairs = Object.entries(total).map(([name, n]) => [name, format.grouped(String(n))]);
    const rest = (total.received ?? 0) - (total.accepted ?? 0) - (total.duplicate ?? 0) - (total.rejected ?? 0);
    pairs.push(["on their way", format.grouped(String(Math.max(0, rest)))]);
    fill(this.books, pairs.map(([name, value]) => h("div", h("dt", name), h("dd", value))));
  }

  async #days() {
    const symbols = (this.names ?? "").split(",").filter(Boolean);
    if (!symbols.length) {
      fill(this.calendar, empty("Nothing to certify", "No symbol is followed yet."));
      return;
    }
    // The newest day of the data: a replayed or simulated market lives at another time.
    const known = Math.max(...(this.until ?? []));
    const to = Number.isFinite(known) ? known : Date.now(), from = to - (DAYS - 1) * 864e5;
    const dates = Array.from({ length: DAYS }, (_, n) => format.day(from + n * 864e5));
    const found = await Promise.all(symbols.slice(0, 20).map(async (key) => {
      const page = await get(`symbols/${encodeURIComponent(key)}/certificates`, { from: dates[0], to: dates.at(-1) }).catch(() => null);
      return [key, page];
    }));
    if (this.gone) return;
    fill(this.calendar, found.map(([key, page]) => {
      const days = new Map((page?.items ?? []).map((d) => [d.date, d]));
      return h("div.line", h("b", nameOf(key)), h("div.days", page === null ? h("span.dim", "cannot be had") : dates.map((date) => this.#day(key, date, days.get(date)))));
    }));
  }

  #day(key, date, told) {
    const state = told?.state ?? "none";
    const [mark, words] = STATES[state] ?? ["?", state.replaceAll("-", " ")];
    return h(`i.day.${state in STATES ? state : "unchecked"}`, { title: `${nameOf(key)} ${date}: ${words}`, role: "img", "aria-label": `${date} ${words}` }, mark);
  }

  #log() {
    const own = store.events.filter((e) => e.topic === "events").slice(0, 120);
    if (!own.length) {
      fill(this.log, h("li", empty("Nothing happened", "Disconnects, gaps and repairs are told here.")));
      return;
    }
    fill(this.log, own.map((event) => {
      const told = meaning(event);
      return h(`li.${told.level}`, h("i", told.mark), h("time", format.stamp(event.at, true)), h("b", nameOf(event.key)), h("span.why", [told.who, told.words].filter(Boolean).join(": ")));
    }));
  }
}

