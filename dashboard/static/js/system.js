// The system page: throughput, latency, memory, Redis, workers, and what was commanded.

import { get } from "./api.js";
import { empty, fill, h, heads, text } from "./dom.js";
import * as format from "./format.js";
import { live } from "./live.js";

const KEPT = 120;

export function systemPage(main) {
  const page = new System(main);
  return { move: () => true, leave: () => page.leave() };
}

/** A small line of the last two minutes. */
class Spark {
  constructor(label, unit) {
    this.label = label;
    this.unit = unit;
    this.values = [];
    this.line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 120 36");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    svg.append(this.line);
    this.now = h("b", "–");
    this.most = h("span.dim");
    this.node = h("section.panel.stat", h("header", h("h2", label), this.most), this.now, svg);
  }

  add(value) {
    if (!Number.isFinite(value)) return;
    this.values.push(value);
    if (this.values.length > KEPT) this.values.shift();
    const most = Math.max(...this.values), scale = most || 1;
    this.line.setAttribute("points", this.values.map((v, n) => `${(n / Math.max(1, this.values.length - 1)) * 120},${35 - (v / scale) * 33}`).join(" "));
    text(this.now, this.unit(value));
    text(this.most, `most ${this.unit(most)}`);
  }
}

class System {
  constructor(main) {
    this.sparks = {
      rate: new Spark("Trades per second", (v) => format.short(v)),
      lag: new Spark("Behind, worst symbol", (v) => format.ago(v)),
      backlog: new Spark("Rows that wait for Redis", (v) => format.short(v)),
      memory: new Spark("Memory of the flow", (v) => format.bytes(v)),
    };
    this.flows = h("div.flows");
    this.stages = h("tbody");
    this.audit = h("tbody");
    this.facts = h("dl.figures");
    const head = (names) => h("thead", h("tr", heads(...names)));
    this.stagePanel = h("section.panel", { hidden: true }, h("header", h("h1", "Latency by stage")),
      h("div.scroll", h("table", head(["stage", "#p50", "#p99"]), this.stages)));
    fill(main, h("div.system",
      h("div.stats", Object.values(this.sparks).map((s) => s.node)),
      this.flows, this.stagePanel,
      h("section.panel", h("header", h("h1", "This page and the API"), h("a.ghost", { href: "/metrics", target: "_blank" }, "Metrics"), h("a.ghost", { href: "/api/v1/openapi.json", target: "_blank" }, "OpenAPI")), this.facts),
      h("section.panel.whole", h("header", h("h1", "Commands")), h("div.scroll", h("table", head(["time", "who", "what", "on", "outcome", ""]), this.audit)))));
    this.before = null;
    this.#look();
    this.timer = setInterval(() => document.hidden || this.#look(), 1000);
  }

  leave() {
    clearInterval(this.timer);
    this.gone = true;
  }

  async #look() {
    const began = performance.now();
    let flows, version, audit;
    try {
      [flows, version, audit] = await Promise.all([get("/status"), this.version ?? get("/version"), get("audit", { limit: 30 })]);
    } catch {
      return;
    }
    if (this.gone) return;
    this.version = version;
    const all = Object.values(flows);
    this.#numbers(all);
    this.#flows(all);
    this.#stages(all);
    this.#facts(version, performance.now() - began);
    fill(this.audit, audit.length ? audit.map((e) => h(`tr.${e.outcome}`, h("td", format.stamp(Date.parse(e.time), true)), h("td", e.caller), h("td", e.action), h("th", { scope: "row" }, e.subject), h("td", e.outcome), h("td.dim", e.detail)))
      : h("tr", h("td", { colspan: 6 }, "Nobody has commanded anything yet.")));
  }

  #numbers(flows) {
    const sum = (f) => flows.reduce((n, flow) => n + f(flow), 0);
    const accepted = sum((f) => f.rows.accepted ?? 0), now = performance.now();
    if (this.before && now > this.before.at + 500) this.sparks.rate.add(Math.max(0, ((accepted - this.before.accepted) / (now - this.before.at)) * 1000));
    this.before = { accepted, at: now };
    this.sparks.lag.add(Math.max(0, ...flows.flatMap((f) => Object.values(f.symbols).map((s) => s.lag_s ?? 0))));
    this.sparks.backlog.add(sum((f) => f.backlog_rows));
    this.sparks.memory.add(sum((f) => f.rss_bytes));
  }

  #flows(flows) {
    if (!flows.length) {
      fill(this.flows, h("section.panel", empty("No flow runs", "Start one with `cryptotools up`.")));
      return;
    }
    fill(this.flows, flows.map((flow) => h("section.panel.flow", h("header", h("h1", `Flow ${flow.name}`),
      h(`span.tag.${flow.well ? "good" : "bad"}`, flow.well ? "● well" : `▲ ${flow.state}`)),
      flow.troubles.map((t) => h("p.trouble", t)),
      h("dl.figures", Object.values(flow.processes).flatMap((p) => [
        ["process", `${p.process} (pid ${p.pid})`], ["up for", format.span(p.uptime_s)], ["state", p.state], ["memory", format.bytes(p.rss_bytes)],
        ["snapshots", String(p.snapshots)], ["disk free", p.disk?.free_bytes ? format.bytes(p.disk.free_bytes) : p.disk?.error ?? "–"],
        ["redis", p.redis ? (p.redis.away_s ? `away for ${format.ago(p.redis.away_s)}` : `${p.redis.backlog_rows} rows wait`) : "none"], ["version", p.version],
      ]).concat([["restarts", String(flow.restarts)], ["gaps open", String(flow.gaps_open)]]).map(([n, v]) => h("div", h("dt", n), h("dd", v)))))));
  }

  #stages(flows) {
    const found = new Map();
    for (const flow of flows) for (const p of Object.values(flow.processes)) for (const [stage, told] of Object.entries(p.latency_ms ?? {})) found.set(stage, told);
    this.stagePanel.hidden = !found.size;
    const ms = (v) => (v === null || v === undefined ? "–" : v >= 1000 ? `${(v / 1000).toFixed(1)} s` : `${v < 10 ? v.toFixed(2) : v.toFixed(0)} ms`);
    fill(this.stages, [...found].map(([stage, { p50, p99 }]) => h("tr", h("th", { scope: "row" }, stage.replaceAll("_", " ")), h("td.num", ms(p50)), h("td.num", ms(p99)))));
  }

  #facts(version, took) {
    const pairs = [["API", `${version.version}, Python ${version.python}`], ["answers in", `${took.toFixed(0)} ms`], ["frames", String(live.frames)],
      ["last frame", live.heard ? `${((performance.now() - live.heard) / 1000).toFixed(1)} s ago` : "–"], ["reconnects", String(live.losses)], ["topics", String(live.topics.size)]];
    if (performance.memory) pairs.push(["page memory", format.bytes(performance.memory.usedJSHeapSize)]);
    fill(this.facts, pairs.map(([n, v]) => h("div", h("dt", n), h("dd", v))));
  }
}
