// The alerts page, toasts and notifications: what should not be missed.

import { empty, fill, h, toast } from "./dom.js";
import * as format from "./format.js";
import { hear, isQuiet, meaning, nameOf, store } from "./store.js";

const LEVELS = { bad: "Critical", warn: "Warnings", good: "Repairs", signal: "Signals", info: "All else" };
const chosen = { levels: new Set(["bad", "warn", "good", "signal"]), muted: false, desktop: false };
try {
  Object.assign(chosen, JSON.parse(localStorage.getItem("alerts") ?? "{}"));
  chosen.levels = new Set(chosen.levels);
} catch { /* the defaults hold */ }

function keep() {
  try {
    localStorage.setItem("alerts", JSON.stringify({ ...chosen, levels: [...chosen.levels] }));
  } catch { /* not kept */ }
}

const recent = [];
const MOST_A_MINUTE = 6;

/** Show an event as a toast, and on the desktop where that was asked for. */
export function notice(event) {
  const told = meaning(event);
  if (chosen.muted || !["bad", "warn", "good"].includes(told.level)) return;
  const now = Date.now();
  while (recent.length && now - recent[0] > 60000) recent.shift();
  if (recent.length >= MOST_A_MINUTE && told.level !== "bad") return;
  recent.push(now);
  const words = `${nameOf(event.key)}: ${told.words}`;
  toast(words, told.level === "good" ? "ok" : told.level, 6);
  if (chosen.desktop && told.level === "bad" && "Notification" in window && Notification.permission === "granted") {
    new Notification("CryptoTools", { body: words, tag: event.id || words });
  }
}

export function alertsPage(main) {
  const page = new Alerts(main);
  return { move: () => true, leave: () => page.leave() };
}

class Alerts {
  constructor(main) {
    this.log = h("ol.log", { id: "alerts", tabindex: "0", "aria-label": "Alerts" });
    const box = (label, on, act) => h("label.check", h("input", { type: "checkbox", checked: on, onchange: (event) => { act(event.target.checked); keep(); this.#draw(); } }), label);
    fill(main, h("section.panel.alerts", h("header", h("h1", "Alerts"),
      h("div.row.push", Object.entries(LEVELS).map(([level, words]) => box(words, chosen.levels.has(level), (on) => (on ? chosen.levels.add(level) : chosen.levels.delete(level)))))),
    h("div.row.options", box("Mute messages", chosen.muted, (on) => { chosen.muted = on; }),
      "Notification" in window ? box("Desktop notifications for critical ones", chosen.desktop, (on) => this.#desktop(on)) : null),
    this.log));
    this.end = hear("events", () => this.#draw());
    this.#draw();
  }

  leave() {
    this.end();
  }

  async #desktop(on) {
    chosen.desktop = on && (await Notification.requestPermission()) === "granted";
    keep();
    if (on && !chosen.desktop) toast("The browser does not allow notifications for this page", "warn");
  }

  #draw() {
    const own = store.events.filter((e) => chosen.levels.has(meaning(e).level) && !(isQuiet(e) && !chosen.levels.has("info"))).slice(0, 300);
    if (!own.length) {
      fill(this.log, h("li", empty("Nothing to tell", "Gaps, repairs, errors and signals are told here as they come.")));
      return;
    }
    fill(this.log, own.map((event) => {
      const told = meaning(event);
      return h(`li.${told.level}`, h("i", told.mark), h("time", format.stamp(event.at, true)),
        h("b", h("a", { href: `#/market/${encodeURIComponent(nameOf(event.key))}` }, nameOf(event.key))),
        h("span.why", [told.who, told.words].filter(Boolean).join(": ")));
    }));
  }
}
