// The trades tape: a fixed pool of rows, readable at hundreds a second; still while hovered.

import { h, text } from "./dom.js";
import * as format from "./format.js";

const ROWS = 40;

export class Tape {
  constructor() {
    this.least = 0;
    this.trades = [];
    this.still = false;
    this.skipped = 0;
    this.large = 0;
    this.rows = Array.from({ length: ROWS }, () => {
      const cells = ["time", "side", "price", "size"].map((name) => h(`span.${name}`));
      return { node: h("li", cells), cells };
    });
    this.list = h("ol.tape", { "aria-label": "Trades, newest first" }, this.rows.map((row) => row.node));
    this.note = h("span.dim");
    this.filter = h("input", {
      type: "number", min: "0", step: "any", placeholder: "min. size", "aria-label": "Show trades of at least this size",
      oninput: () => { this.least = Number(this.filter.value) || 0; this.trades = this.trades.filter((t) => this.#fits(t)); this.#draw(); },
    });
    this.node = h("section.panel.tapes", h("header", h("h2", "Trades"), this.note, this.filter), this.list);
    this.list.addEventListener("pointerenter", () => { this.still = true; });
    this.list.addEventListener("pointerleave", () => { this.still = false; this.#draw(); });
  }

  clear() {
    this.trades = [];
    this.large = 0;
    this.#draw();
  }

  take(tape) {
    const fresh = tape.trades.filter((t) => this.#fits(t));
    for (const t of tape.trades) {
      // What is large is learned from what comes.
      const size = Number(t.quantity) * Number(t.price);
      this.large = this.large ? this.large + (size - this.large) * 0.01 : size;
    }
    this.trades = [...fresh.reverse(), ...this.trades].slice(0, ROWS);
    this.skipped = tape.skipped;
    if (!this.still) this.#draw();
  }

  pause(still) {
    this.still = still;
    if (!still) this.#draw();
  }

  #fits(trade) {
    return Number(trade.quantity) >= this.least;
  }

  #draw() {
    this.rows.forEach((row, n) => {
      const trade = this.trades[n];
      row.node.hidden = !trade;
      if (!trade) return;
      const buy = trade.taker === "buy";
      const [time, side, price, size] = row.cells;
      text(time, format.clock(Number(trade.time_us) / 1000));
      text(side, buy ? "▲" : "▼");
      text(price, format.grouped(format.trimmed(trade.price, 2)));
      text(size, format.trimmed(trade.quantity));
      const large = Number(trade.quantity) * Number(trade.price) > this.large * 6;
      row.node.className = `${buy ? "up" : "down"}${large ? " large" : ""}`;
    });
    text(this.note, this.skipped ? `+${this.skipped} not shown` : "");
  }
}
