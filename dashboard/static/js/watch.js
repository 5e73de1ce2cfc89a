// The watch list: price, change, rate, how far behind and how stale each symbol is.

import { command, get } from "./api.js";
import { confirm, empty, h, rows, text, toast } from "./dom.js";
import * as format from "./format.js";
import { hear, nameOf, store } from "./store.js";

const STATES = { live: ["●", "live"], repairing: ["◐", "being repaired"], stale: ["○", "stale"] };

export class Watch {
  constructor({ chosen, onChoose }) {
    this.chosen = chosen;
    this.onChoose = onChoose;
    this.list = h("ul.watch");
    this.found = h("ul.found", { hidden: true });
    this.input = h("input", {
      type: "search", placeholder: "Symbol ( / )", "aria-label": "Search symbols", autocomplete: "off", spellcheck: "false",
      oninput: () => this.#search(), onkeydown: (event) => this.#key(event),
    });
    this.none = empty("No symbols yet", "Search one above to follow it.");
    this.node = h("section.panel.watching", h("header", h("h2", "Watch list"), h("span.dim", { id: "followed" })),
      h("div.searching", this.input, this.found), this.list, this.none);
    this.end = hear("tickers", () => this.draw());
    this.draw();
  }

  destroy() {
    this.end();
  }

  symbols() {
    return [...store.tickers.keys()].sort();
  }

  choose(key) {
    this.chosen = key;
    this.draw();
  }

  step(by) {
    const all = this.symbols();
    const at = all.indexOf(this.chosen);
    const next = all[(at + by + all.length) % all.length];
    if (next) this.onChoose(next);
  }

  draw() {
    const all = this.symbols().map((key) => [key, store.tickers.get(key)]);
    this.none.hidden = all.length > 0;
    rows(this.list, all, ([key]) => key, ([key]) => this.#make(key), (row, [key, ticker]) => this.#update(row, key, ticker));
  }

  #make(key) {
    const cells = Object.fromEntries(["mark", "name", "price", "change", "rate"].map((n) => [n, h(`span.${n}`)]));
    const spark = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    spark.setAttribute("class", "spark");
    spark.setAttribute("viewBox", "0 0 60 18");
    spark.setAttribute("preserveAspectRatio", "none");
    spark.setAttribute("aria-hidden", "true");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
    spark.append(line);
    const leave = h("button.ghost.icon.leave", { title: "Follow it no more", "aria-label": `Follow ${nameOf(key)} no more`,
      onclick: (event) => { event.stopPropagation(); this.#leave(key); } }, "×");
    const button = h("button.pick", { onclick: () => this.onChoose(key) }, cells.mark, cells.name, spark, cells.price, cells.rate, cells.change);
    const row = h("li", button, leave);
    Object.assign(row, { cells, line, button });
    return row;
  }

  #update(row, key, t) {
    const { cells } = row;
    const [mark, words] = STATES[t.state] ?? STATES.stale;
    text(cells.mark, mark);
    text(cells.name, nameOf(key));
    text(cells.price, format.grouped(format.trimmed(t.price, 2)));
    const day = t.change_24h === null || t.change_24h === undefined ? null : Number(t.change_24h);
    text(cells.change, day === null ? "–" : format.percent(day));
    text(cells.rate, `${format.short(Number(t.rate) || 0)}/s`);
    row.className = `${t.state}${key === this.chosen ? " chosen" : ""}${day > 0 ? " up" : day < 0 ? " down" : ""}`;
    row.button.setAttribute("aria-pressed", String(key === this.chosen));
    const behind = t.lag_s === null || t.lag_s === undefined ? "" : `, ${format.ago(t.lag_s)} behind`;
    row.button.title = `${nameOf(key)}: ${words}${behind}${t.gaps_open ? `, ${t.gaps_open} gaps open` : ""}`;
    this.#spark(row.line, store.history.get(key)?.prices ?? []);
  }

  #spark(line, prices) {
    if (prices.length < 2) return;
    const low = Math.min(...prices), high = Math.max(...prices), span = high - low || 1;
    const points = prices.map((p, n) => `${((n / (prices.length - 1)) * 60).toFixed(1)},${(16 - ((p - low) / span) * 14).toFixed(1)}`);
    line.setAttribute("points", points.join(" "));
  }

  async #leave(key) {
    if (!(await confirm(`Follow ${nameOf(key)} no more?`, "What was stored of it stays. Strategies on it end.", "Unsubscribe"))) return;
    try {
      await command("DELETE", `symbols/${encodeURIComponent(nameOf(key))}`);
      store.tickers.delete(key);
      this.draw();
      toast(`${nameOf(key)} is followed no more`);
      if (key === this.chosen && this.symbols()[0]) this.onChoose(this.symbols()[0]);
    } catch (problem) {
      toast(problem.message, "bad");
    }
  }

  #search() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#find(), 150);
  }

  async #find() {
    const wanted = this.input.value.trim();
    if (!wanted) {
      this.found.hidden = true;
      return;
    }
    let listed;
    try {
      listed = await get("symbols/search", { q: wanted, limit: 12 });
    } catch {
      listed = this.symbols().filter((key) => key.includes(wanted.toUpperCase())).map((key) => ({ symbol: nameOf(key), followed: true, status: "" }));
    }
    this.found.replaceChildren(...listed.map((one) => h("li", h("button.hit", { onclick: () => this.#take(one) },
      h("b", one.symbol), h("span.dim", one.followed ? "followed" : one.status === "TRADING" ? "+ follow" : one.status.toLowerCase())))));
    if (!listed.length) this.found.replaceChildren(h("li.dim.none", `nothing fits “${wanted}”`));
    this.found.hidden = false;
  }

  #key(event) {
    if (event.key === "Enter") this.found.querySelector("button")?.click();
    if (event.key === "ArrowDown") this.found.querySelector("button")?.focus();
    if (event.key === "Escape") this.#close();
  }

  #close() {
    this.input.value = "";
    this.found.hidden = true;
    this.input.blur();
  }

  async #take(one) {
    this.#close();
    const known = this.symbols().find((key) => nameOf(key) === one.symbol);
    if (known) {
      this.onChoose(known);
      return;
    }
    toast(`Asking for ${one.symbol} …`, "ok", 2);
    try {
      const answer = await command("POST", "symbols", { symbols: [one.symbol] });
      toast(answer.outcome === "applied" ? `${one.symbol} is followed` : `${one.symbol}: ${answer.outcome}`);
      const wait = hear("tickers", () => {
        const key = this.symbols().find((k) => nameOf(k) === one.symbol);
        if (key) {
          wait();
          this.onChoose(key);
        }
      });
      setTimeout(wait, 20000);
    } catch (problem) {
      toast(`${problem.message}${problem.hint ? ` — ${problem.hint}` : ""}`, "bad", 8);
    }
  }
}
