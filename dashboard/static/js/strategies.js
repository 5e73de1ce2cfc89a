// The strategies page: what runs, how it does, and commands that change it.

import { command, get } from "./api.js";
import { confirm, empty, fill, h, heads, skeleton, text, toast } from "./dom.js";
import * as format from "./format.js";
import { Form } from "./form.js";
import { live } from "./live.js";
import { hear, loadInstances, nameOf, store } from "./store.js";
import { changed, colours } from "./theme.js";

const STATES = {
  running: ["●", "running"], warming: ["◔", "warming up"], paused: ["Ⅱ", "paused"],
  errored: ["✕", "stopped by an error"], stopped: ["■", "stopped"],
};

/** The state of an instance over its symbols: the worst tells. */
export function overall(one) {
  if (one.state === "stopped" || one.state === "paused") return one.state;
  const states = one.symbols.map((s) => s.state);
  return ["errored", "warming"].find((s) => states.includes(s)) ?? "running";
}

/** Percent below the highest equity so far. */
function below(equity) {
  const peak = Number(equity.peak);
  return peak ? ((Number(equity.equity) - peak) / peak) * 100 : 0;
}

export function strategiesPage(main, [wanted]) {
  const page = new Strategies(main, wanted && decodeURIComponent(wanted));
  return {
    move: ([name]) => {
      if (name) page.choose(decodeURIComponent(name));
      return true;
    },
    leave: () => page.leave(),
  };
}

class Strategies {
  constructor(main, wanted) {
    this.kinds = [];
    this.chosen = wanted ?? null;
    this.list = h("div.cards", { id: "instances" }, skeleton(5));
    this.detail = h("section.panel.detail", { id: "detail" }, empty("Choose an instance", "Its symbols, signals and paper account are shown here."));
    fill(main, h("div.strategies",
      h("section.panel.listing", h("header", h("h1", "Instances"), h("span.dim", { id: "howmany" }),
        h("button.primary", { id: "add", onclick: () => this.#edit() }, "+ Add")), this.list),
      this.detail));
    this.ends = [hear("instances", () => this.#draw()), hear("events", (events) => this.#news(events))];
    this.unwant = live.want("equity");
    this.onFrame = ({ detail }) => this.#frame(detail);
    live.addEventListener("frame", this.onFrame);
    this.timer = setInterval(() => document.hidden || loadInstances().catch(() => {}), 4000);
    this.restyle = () => this.#restyle();
    changed.addEventListener("looks", this.restyle);
    this.#load();
  }

  leave() {
    this.ends.forEach((end) => end());
    this.unwant();
    clearInterval(this.timer);
    live.removeEventListener("frame", this.onFrame);
    changed.removeEventListener("looks", this.restyle);
    this.equity?.chart.remove();
  }

  choose(name) {
    this.chosen = name;
    history.replaceState(null, "", `#/strategies/${encodeURIComponent(name)}`);
    this.#draw();
    this.#show();
  }

  async #load() {
    try {
      [this.kinds] = await Promise.all([get("strategies"), loadInstances()]);
      if (this.chosen) this.#show();
    } catch (problem) {
      fill(this.list, empty("The instances cannot be had", problem.message, h("button", { onclick: () => this.#load() }, "Try again")));
    }
  }

  #draw() {
    const all = store.instances;
    text(document.getElementById("howmany"), all.length ? String(all.length) : "");
    if (!all.length) {
      fill(this.list, empty("Nothing runs", "Add an instance of a strategy: it is warmed up as if it had run all the time."));
      return;
    }
    fill(this.list, all.map((one) => this.#card(one)));
    if (this.chosen) this.#refresh();
  }

  #card(one) {
    const state = overall(one), [mark, words] = STATES[state] ?? ["?", state];
    const signals = one.symbols.reduce((n, s) => n + s.signals, 0);
    const slow = Math.max(0, ...one.symbols.map((s) => s.decision_us));
    const act = (verb, label, title) => h("button.ghost", { title, onclick: (event) => { event.stopPropagation(); this.#verb(one, verb, event.target); } }, label);
    return h(`article.card.${state}${one.instance === this.chosen ? ".chosen" : ""}`, { dataset: { instance: one.instance } },
      h("button.pick", { "aria-pressed": String(one.instance === this.chosen), onclick: () => this.choose(one.instance) },
        h("b", one.instance), h("span.state", h("i", mark), words),
        h("span.dim", `${one.spec.name === one.instance ? "" : `${one.spec.name} · `}${one.spec.interval} · ${one.spec.symbols.includes("*") ? "all symbols" : one.spec.symbols.join(" ")}`),
        h("span.dim", `${signals} signals · ${one.symbols.length} symbols · ${slow.toFixed(0)} µs`)),
      h("div.row.acts",
        state === "stopped" ? act("start", "Start", "Run it again, warmed up")
          : state === "paused" ? act("resume", "Resume", "Let it speak again")
          : act("pause", "Pause", "It watches and says nothing"),
        state === "stopped" ? null : act("stop", "Stop", "End it, and keep it in mind"),
        h("button.ghost", { title: "Change parameters", onclick: () => this.#edit(one) }, "Edit"),
        act("remove", "Remove", "End it for good")));
  }

  async #verb(one, verb, button) {
    if (verb === "stop" && !(await confirm(`Stop ${one.instance}?`, "Its state is dropped; it can be started again and is warmed up then.", "Stop"))) return;
    if (verb === "remove" && !(await confirm(`Remove ${one.instance}?`, "It ends. What it said stays, and its paper account closes.", "Remove"))) return;
    button.disabled = true;
    button.classList.add("busy");
    try {
      const path = `instances/${encodeURIComponent(one.instance)}`;
      const headers = { "If-Match": `"${one.version}"` };
      const answer = verb === "remove" ? await command("DELETE", path, undefined, headers) : await command("POST", `${path}/${verb}`, undefined, headers);
      toast(`${one.instance}: ${verb} ${answer.outcome}`);
      if (verb === "remove" && this.chosen === one.instance) {
        this.chosen = null;
        fill(this.detail, empty("Choose an instance", ""));
      }
    } catch (problem) {
      toast(`${one.instance}: ${problem.message}${problem.hint ? ` — ${problem.hint}` : ""}`, "bad", 8);
    }
    await loadInstances().catch(() => {});
  }

  // ---- add and edit ----

  #edit(one) {
    const kinds = this.kinds;
    let form;
    const about = h("p.dim.about");
    const place = h("div");
    const general = h("span.error", { role: "alert" });
    const choose = h("select", { id: "kind", disabled: Boolean(one), onchange: () => draw() }, kinds.map((k) =>
      h("option", { value: k.name, selected: k.name === one?.spec.name }, k.name)));
    const name = h("input", { id: "name", type: "text", maxlength: 64, value: one?.instance ?? "", disabled: Boolean(one), placeholder: "as the strategy", spellcheck: "false" });
    const intervals = Object.values(store.status?.flows ?? {})[0]?.intervals ?? ["1m"];
    const interval = h("select", { id: "interval", disabled: Boolean(one) }, intervals.map((i) => h("option", { value: i, selected: i === one?.spec.interval }, i)));
    const symbols = h("input", { id: "symbols", type: "text", value: one?.spec.symbols.join(" ") ?? "*", disabled: Boolean(one), spellcheck: "false" });
    const legs = h("div.legs");
    const draw = () => {
      const kind = kinds.find((k) => k.name === choose.value) ?? kinds[0];
      if (!kind) return;
      text(about, kind.about);
      form = new Form(kind.parameters, one?.spec.params ?? {});
      fill(place, form.node);
      fill(legs, (kind.legs ?? []).map((leg) => h("div.field", h("label", { for: `leg-${leg}` }, `leg ${leg}`), h("input", { id: `leg-${leg}`, dataset: { leg }, type: "text", value: one?.spec.legs?.[leg] ?? "", disabled: Boolean(one), placeholder: "a symbol" }))));
    };
    const send = h("button.primary", { value: "send", id: "send" }, one ? "Change" : "Add");
    const field = (id, words, input, help) => h("div.field", h("label", { for: id }, words), input, help ? h("span.dim", help) : null);
    const dialog = h("dialog.ask.wide", h("form", { method: "dialog", novalidate: true, onsubmit: async (event) => {
      if (event.submitter?.value !== "send") return;
      event.preventDefault();
      general.textContent = "";
      const params = one ? form.all() : form.values();
      if (!params) return;
      send.disabled = true;
      send.classList.add("busy");
      try {
        await this.#send(one, params, { name: choose.value, instance: name.value.trim(), interval: interval.value, symbols: symbols.value, legs });
        dialog.close();
      } catch (problem) {
        const own = problem.field?.startsWith("params.") ? problem.field.slice(7) : "";
        if (!own || !form.blame(own, problem.message)) general.textContent = [problem.field, problem.message, problem.hint].filter(Boolean).join(" — ");
      } finally {
        send.disabled = false;
        send.classList.remove("busy");
      }
    } },
    h("h2", one ? `Change ${one.instance}` : "Add an instance"),
    h("div.columns", field("kind", "strategy", choose), field("name", "name", name), field("interval", "interval", interval), field("symbols", "symbols", symbols, "* is every one")),
    about, legs, h("h3", "Parameters"), place, general,
    h("div.row.end", h("button.ghost", { value: "no", formnovalidate: true }, "Cancel"), send)));
    dialog.addEventListener("close", () => dialog.remove());
    draw();
    document.body.append(dialog);
    dialog.showModal();
  }

  async #send(one, params, said) {
    if (one) {
      await command("PATCH", `instances/${encodeURIComponent(one.instance)}`, { params }, { "If-Match": `"${one.version}"` });
      toast(`${one.instance} is changed`);
    } else {
      const legs = Object.fromEntries([...said.legs.querySelectorAll("input")].map((i) => [i.dataset.leg, i.value.trim()]).filter(([, v]) => v));
      const body = { name: said.name, instance: said.instance, interval: said.interval, symbols: said.symbols.split(/[\s,]+/).filter(Boolean), params, legs };
      const answer = await command("POST", "instances", body);
      const name = said.instance || said.name;
      toast(`${name} ${answer.outcome === "applied" ? "runs" : "was accepted"}`);
      this.chosen = name;
    }
    await loadInstances();
    this.#show();
  }

  // ---- one instance ----

  async #show() {
    const one = store.instances.find((i) => i.instance === this.chosen);
    if (!one) {
      fill(this.detail, empty(`There is no instance “${this.chosen}”`, "It may have been removed."));
      return;
    }
    this.equity?.chart.remove();
    this.equity = null;
    this.told = null;
    this.account = this.account && one.symbols.some((s) => s.key === this.account) ? this.account : one.symbols[0]?.key;
    this.table = h("tbody");
    this.signals = h("ol.signals.long", skeleton(4));
    this.figures = h("dl.figures");
    this.plot = h("div.equity");
    const pick = h("select", { "aria-label": "Account", onchange: () => { this.account = pick.value; this.#money(one); } },
      one.symbols.map((s) => h("option", { value: s.key, selected: s.key === this.account }, nameOf(s.key))));
    fill(this.detail,
      h("header", h("h1", one.instance), h("span.dim", `${one.spec.name} · ${one.spec.interval} · version ${one.version.slice(0, 8)}${one.configured ? " · from the settings" : ""}`)),
      h("div.scroll", h("table", h("thead", h("tr", heads("symbol", "state", "#klines", "#signals", "last", "#per kline", "error"))), this.table)),
      h("h2", "Paper account ", pick), this.figures, this.plot,
      h("h2", "Signals"), this.signals);
    this.#refresh();
    this.#said(one);
    this.#money(one);
  }

  #refresh() {
    const one = store.instances.find((i) => i.instance === this.chosen);
    if (!one || !this.table) return;
    fill(this.table, one.symbols.map((s) => {
      const [mark, words] = STATES[s.state] ?? ["?", s.state];
      return h(`tr.${s.state}`, h("th", { scope: "row" }, h("a", { href: `#/market/${encodeURIComponent(nameOf(s.key))}/${one.spec.interval}` }, nameOf(s.key))), h("td", `${mark} ${words}`),
        h("td.num", String(s.fed)), h("td.num", String(s.signals)),
        h("td", s.last_side ? `${s.last_side} ${format.clock(s.last_us / 1000)}` : "–"),
        h("td.num", `${s.decision_us.toFixed(1)} µs`), h("td.error", s.error));
    }));
    if (!one.symbols.length) fill(this.table, h("tr", h("td", { colspan: 7 }, one.state === "stopped" ? "It is stopped." : "No data has come to it yet.")));
  }

  async #said(one) {
    try {
      const page = await get("signals", { instance: one.instance, limit: 50, order: "desc" });
      if (this.chosen !== one.instance) return;
      if (!page.items.length) fill(this.signals, h("li", empty("It has said nothing yet", "Its rule was not met, or it is still warming up.")));
      else fill(this.signals, page.items.map((s) => this.#signal(s.side, s.key, s.time_us / 1000, `at ${s.price}: ${s.reason}`)));
    } catch (problem) {
      fill(this.signals, h("li", empty("Its signals cannot be had", problem.message)));
    }
  }

  #signal(side, key, at, words) {
    return h(`li.${side}`, h("i", { long: "▲", short: "▼" }[side] ?? "■"), h("b", nameOf(key)), h("time", format.stamp(at, true)), h("span.why", `${side} ${words}`));
  }

  #news(events) {
    for (const event of events ?? []) {
      if (event.topic !== "signals" || event.fields.instance !== this.chosen || !this.signals) continue;
      this.signals.querySelector(".empty")?.parentElement.remove();
      this.signals.prepend(this.#signal(event.fields.side, event.key, event.at, `at ${event.fields.price}: ${event.fields.reason}`));
      while (this.signals.children.length > 50) this.signals.lastChild.remove();
    }
  }

  // ---- paper money ----

  async #money(one) {
    if (!this.account) {
      fill(this.plot, empty("No account", "It runs on no symbol."));
      return;
    }
    const account = this.account;
    try {
      const [equity, told] = await Promise.all([
        get("equity", { symbol: account, instance: one.instance, limit: 2000, order: "desc" }),
        get(`instances/${encodeURIComponent(one.instance)}/performance`, { symbol: account }).catch(() => null),
      ]);
      if (account !== this.account || this.chosen !== one.instance) return;
      this.#figures(told, equity.items[0]);
      this.#plot(equity.items.reverse());
    } catch (problem) {
      fill(this.plot, empty("The account cannot be had", problem.message));
    }
  }

  #figures(told, last) {
    if (told) this.told = told;
    const one = Array.isArray(this.told?.items) ? this.told.items[0] : this.told;
    const pairs = [];
    const add = (name, value) => value !== undefined && value !== null && pairs.push([name, value]);
    add("equity", last && format.grouped(format.trimmed(Number(last.equity).toFixed(2), 2)));
    add("return", one ? format.percent(one.total_return * 100) : undefined);
    add("realised", last && format.grouped(Number(last.realised).toFixed(2)));
    add("unrealised", last && format.grouped(Number(last.unrealised).toFixed(2)));
    add("drawdown", last && format.percent(below(last)));
    add("deepest", one ? format.percent(one.max_drawdown * 100) : undefined);
    add("position", last && format.trimmed(last.position));
    add("trades", one?.trades);
    add("won", one?.win_rate !== undefined && one.win_rate !== null ? `${(Number(one.win_rate) * 100).toFixed(0)} %` : undefined);
    add("fees", last && format.grouped(Number(last.fees).toFixed(2)));
    fill(this.figures, pairs.map(([name, value]) => h("div", h("dt", name), h("dd", String(value)))));
  }

  #plot(items) {
    this.equity?.chart.remove();
    this.equity = null;
    if (!items.length) {
      fill(this.plot, empty("It has not traded yet", "The account begins with its first signal."));
      return;
    }
    fill(this.plot);
    const L = window.LightweightCharts;
    const chart = L.createChart(this.plot, {
      autoSize: true, layout: { attributionLogo: false, fontFamily: "inherit", fontSize: 11 },
      rightPriceScale: { borderVisible: false, minimumWidth: 76 }, timeScale: { borderVisible: false, timeVisible: true, rightOffset: 2 },
      localization: { timeFormatter: (t) => format.stamp(t * 1000) },
    });
    const base = Number(this.told?.items?.[0]?.capital ?? items[0].equity);
    const line = chart.addSeries(L.BaselineSeries, { baseValue: { type: "price", price: base }, lineWidth: 2, priceLineVisible: false });
    const drawdown = chart.addSeries(L.AreaSeries, { lineWidth: 1, priceLineVisible: false, lastValueVisible: false, priceFormat: { type: "custom", minMove: 0.01, formatter: (x) => format.percent(x, 1) } }, 1);
    this.equity = { chart, line, drawdown, last: 0 };
    const points = items.map((e) => this.#point(e));
    const seen = new Map(points.map((p) => [p.time, p]));
    const ordered = [...seen.values()].sort((a, b) => a.time - b.time);
    line.setData(ordered.map(({ time, equity }) => ({ time, value: equity })));
    drawdown.setData(ordered.map(({ time, drawdown: value }) => ({ time, value })));
    this.equity.last = ordered.at(-1).time;
    chart.panes()[1]?.setStretchFactor(0.35);
    this.#restyle();
    chart.timeScale().fitContent();
  }

  #point(e) {
    return { time: Math.floor(Number(e.time_us) / 1e6), equity: Number(e.equity), drawdown: below(e) };
  }

  #restyle() {
    if (!this.equity) return;
    const own = colours(), L = window.LightweightCharts;
    this.equity.chart.applyOptions({
      layout: { background: { type: L.ColorType.Solid, color: own.panel }, textColor: own.text, panes: { separatorColor: own.line } },
      grid: { vertLines: { color: own.grid }, horzLines: { color: own.grid } },
    });
    this.equity.line.applyOptions({ topLineColor: own.up, topFillColor1: own.upSoft, topFillColor2: "transparent", bottomLineColor: own.down, bottomFillColor1: "transparent", bottomFillColor2: own.downSoft });
    this.equity.drawdown.applyOptions({ lineColor: own.warn, topColor: "transparent", bottomColor: own.gap });
  }

  #frame(frame) {
    const fields = frame.latest?.equity?.[this.account]?.[this.chosen];
    if (!fields || !this.equity) return;
    const point = this.#point(fields);
    if (point.time < this.equity.last) return;
    this.equity.last = point.time;
    this.equity.line.update({ time: point.time, value: point.equity });
    this.equity.drawdown.update({ time: point.time, value: point.drawdown });
    this.#figures(null, fields);
  }
}
