// Starts the page: where in it we are, how fresh it is, what everybody may do from anywhere.

import { get, onTokenNeeded, setToken } from "./api.js";
import { fill, h, say, text, toast } from "./dom.js";
import * as format from "./format.js";
import * as keys from "./keys.js";
import { live } from "./live.js";
import { hear, isQuiet, loadEvents, loadInstances, meaning, nameOf, store } from "./store.js";
import * as theme from "./theme.js";
import { alertsPage, notice } from "./alerts.js";
import { jobsPage } from "./jobs.js";
import { marketPage } from "./market.js";
import { qualityPage } from "./quality.js";
import { strategiesPage } from "./strategies.js";
import { systemPage } from "./system.js";

// By name: title, what shows it, its key, and the title where there is little room.
const PAGES = {
  market: ["Market", marketPage, "m", "Market"],
  strategies: ["Strategies", strategiesPage, "s", "Rules"],
  quality: ["Data quality", qualityPage, "q", "Quality"],
  jobs: ["Back-tests", jobsPage, "b", "Tests"],
  system: ["System", systemPage, "y", "System"],
  alerts: ["Alerts", alertsPage, "a", "Alerts"],
};

let shown = null; // {name, leave}

/** #/market/BTCUSDT/5m → ["market", "BTCUSDT", "5m"] */
export function place() {
  const parts = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  return parts[0] in PAGES ? parts : ["market"];
}

function show() {
  const [name, ...rest] = place();
  for (const tab of document.querySelectorAll("#tabs a")) {
    if (tab.dataset.page === name) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  if (shown?.name === name && shown.move?.(rest)) return;
  shown?.leave?.();
  const main = document.getElementById("main");
  main.dataset.page = name;
  document.title = `${PAGES[name][0]} · CryptoTools`;
  shown = { name, ...(PAGES[name][1](main, rest) ?? {}) };
}

function tabs() {
  fill(document.getElementById("tabs"), Object.entries(PAGES).map(([name, [words, , , brief]]) =>
    h("a", { href: `#/${name}`, dataset: { page: name }, "aria-label": words }, h("span.long", words), h("span.brief", brief),
      name === "alerts" ? h("b.count", { id: "unseen", hidden: true }) : null)));
}

// ---- how fresh it all is ----

function freshness() {
  const pill = document.getElementById("pill");
  const banner = document.getElementById("banner");
  const [kind, words, why] = verdict();
  pill.className = `pill ${kind}`;
  text(pill.lastElementChild, words);
  pill.title = why;
  document.body.classList.toggle("dim", kind === "bad");
  banner.hidden = kind !== "bad";
  if (kind === "bad") text(banner, why);
}

function verdict() {
  const flows = Object.values(store.status?.flows ?? {});
  if (live.state === "refused") return ["bad", "Token needed", "The API wants a token."];
  if (live.state === "connecting") return ["wait", "Connecting", "The first answer is on its way."];
  if (live.state === "reconnecting") {
    return ["bad", "Reconnecting", "The API does not answer. What you see is as it was; it goes on by itself."];
  }
  if (live.state === "silent") return ["bad", "Silent", "The API has said nothing for 15 seconds."];
  if (store.status?.redis && store.status.redis.state !== "live") {
    return ["bad", "No Redis", `Redis is away: ${store.status.redis.reason ?? ""}`];
  }
  if (store.status && !flows.length) return ["bad", "No flow", "No flow runs: start one with `cryptotools up`."];
  const dead = flows.find((f) => !["running", "starting"].includes(f.state));
  if (dead) return ["bad", `Flow ${dead.state}`, `The flow is ${dead.state}. Nothing new comes until it runs again.`];
  const trouble = flows.flatMap((f) => f.troubles ?? []);
  if (trouble.length) return ["warn", "Live, with troubles", trouble.join("; ")];
  return ["good", "Live", "All that is shown is fresh."];
}

// ---- tokens ----

let asking = null;

function askToken(wrong) {
  asking ??= new Promise((resolve) => {
    const input = h("input", { type: "password", autocomplete: "off", required: true, spellcheck: "false", "aria-label": "Token" });
    const dialog = h("dialog.ask.token", h("form", { method: "dialog" },
      h("h2", "A token is needed"),
      h("p", "Make one with ", h("code", "cryptotools token new NAME --scope control"), ". It is kept for this tab only."),
      wrong ? h("p.error", "That token is unknown, revoked or has expired.") : null,
      input, h("div.row.end", h("button.primary", { value: "go" }, "Go on"))));
    dialog.addEventListener("close", () => {
      dialog.remove();
      setToken(input.value.trim());
      asking = null;
      live.again();
      resolve(Boolean(input.value.trim()));
    });
    document.body.append(dialog);
    dialog.showModal();
  });
  return asking;
}

// ---- what every page has ----

let unseen = 0;

function count(events) {
  if (!events || place()[0] === "alerts") unseen = 0;
  else unseen += events.filter((e) => ["bad", "warn"].includes(meaning(e).level)).length;
  const badge = document.getElementById("unseen");
  badge.hidden = !unseen;
  text(badge, unseen > 99 ? "99+" : String(unseen));
}

function heard(events) {
  count(events);
  for (const event of events ?? []) {
    if (!isQuiet(event)) notice(event);
  }
}

function tick() {
  const now = Date.now() + (live.skew ?? 0);
  text(document.getElementById("clock"), `${format.clock(now)} ${format.state.utc ? "UTC" : "local"}`);
  const rtt = live.frames ? `${live.frames} frames` : "";
  text(document.getElementById("foot"), rtt);
  freshness();
}

function actions() {
  const zone = () => {
    format.state.utc = !format.state.utc;
    tick();
    theme.changed.dispatchEvent(new Event("zone"));
  };
  const looks = () => say(`${theme.nextTheme()} theme`);
  const palette = () => toast(`Colours: ${theme.NAMES[theme.nextPalette()]}`, "ok", 2);
  document.getElementById("clock").onclick = zone;
  document.getElementById("theme").onclick = looks;
  document.getElementById("palette").onclick = palette;
  document.getElementById("help").onclick = keys.show;
  for (const [name, [words, , key]] of Object.entries(PAGES)) {
    keys.bind(key, words, () => { location.hash = `#/${name}`; });
  }
  keys.bind("t", "Dark or light", looks);
  keys.bind("c", "Colours: blind-safe, classic, red up", palette);
  keys.bind("u", "UTC or local time", zone);
  keys.bind("?", "This list", keys.show);
  keys.listen(() => place()[0]);
}

async function start() {
  tabs();
  actions();
  onTokenNeeded(() => askToken(Boolean(sessionStorage.getItem("cryptotools-token"))));
  live.addEventListener("state", freshness);
  live.addEventListener("token", () => askToken(false));
  live.addEventListener("problem", ({ detail }) => detail.status === 401 || toast(detail.detail, "bad"));
  hear("events", heard);
  hear("status", freshness);
  addEventListener("hashchange", () => {
    show();
    count(null);
  });
  addEventListener("online", () => live.again());
  setInterval(tick, 500);
  tick();
  live.want("ticker", "status", "events", "signals", "fills");
  await get("session").catch(() => null); // asks for a token before anything fails for want of one
  live.start();
  show();
  Promise.allSettled([loadInstances(), loadEvents()]);
}

start();

export { nameOf };
