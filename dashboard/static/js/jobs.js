// Back-tests: started here, run by the API, looked at here.

import { command, download, get, token } from "./api.js";
import { empty, fill, h, skeleton, toast } from "./dom.js";
import * as format from "./format.js";
import { nameOf, store } from "./store.js";

const STATES = { queued: "…", running: "●", done: "✓", failed: "✕", cancelled: "■" };

export function jobsPage(main) {
  const page = new Jobs(main);
  return { move: () => true, leave: () => page.leave() };
}

/** "period=7,14 oversold=20:40:5" → {period: [7, 14], oversold: "20:40:5"} */
export function gridOf(words) {
  const found = {};
  for (const part of words.trim().split(/\s+/).filter(Boolean)) {
    const [name, said, ...more] = part.split("=");
    if (!name || !said || more.length) throw new Error(`“${part}” is not NAME=VALUES`);
    const values = said.split(",").map((v) => (v !== "" && Number.isFinite(Number(v)) ? Number(v) : v));
    found[name] = values.length === 1 ? values[0] : values;
  }
  return found;
}

class Jobs {
  constructor(main) {
    this.list = h("div", { id: "jobs" }, skeleton(3));
    this.error = h("p.error", { role: "alert" });
    this.strategy = h("select", { id: "job-strategy" });
    this.symbol = h("select", { id: "job-symbol" });
    this.params = h("input", { id: "job-params", type: "text", placeholder: "period=7,14 oversold=20:40:5", spellcheck: "false" });
    this.from = h("input", { id: "job-from", type: "date" });
    this.to = h("input", { id: "job-to", type: "date" });
    const field = (id, words, input) => h("div.field", h("label", { for: id }, words), input);
    fill(main, h("div.grid.jobs",
      h("section.panel", h("header", h("h1", "New back-test")), h("form", { id: "job-form", onsubmit: (event) => { event.preventDefault(); this.#start(); } },
        field("job-strategy", "strategy", this.strategy), field("job-symbol", "symbol", this.symbol),
        field("job-params", "parameters, lists and ranges make a grid", this.params),
        h("div.columns", field("job-from", "from (UTC)", this.from), field("job-to", "to", this.to)),
        this.error, h("div.row.end", h("button.primary", "Run")), h("p.dim", "On what the lake holds, through the same flow as live."))),
      h("section.panel", h("header", h("h1", "Back-tests and replays")), this.list)));
    this.#fill();
    this.#look();
    this.timer = setInterval(() => document.hidden || this.#look(), 1500);
  }

  leave() {
    clearInterval(this.timer);
    this.gone = true;
  }

  async #fill() {
    const kinds = await get("strategies").catch(() => []);
    fill(this.strategy, kinds.map((k) => h("option", { value: k.name }, k.name)));
    const symbols = await get("symbols").catch(() => []);
    fill(this.symbol, (symbols.length ? symbols.map((s) => s.symbol) : [...store.tickers.keys()].map(nameOf)).map((s) => h("option", { value: s }, s)));
  }

  async #look() {
    let page;
    try {
      page = await get("jobs");
    } catch (problem) {
      if (!this.gone) fill(this.list, empty("Jobs cannot be had", problem.message));
      return;
    }
    if (this.gone) return;
    const jobs = page.items ?? page;
    if (!jobs.length) {
      fill(this.list, empty("No back-test yet", "Run one on the left: its report is kept here."));
      return;
    }
    fill(this.list, jobs.map((job) => this.#card(job)));
  }

  #card(job) {
    const asked = job.request ?? job;
    const words = [asked.kind ?? job.kind, ...(asked.strategies ?? []), ...(asked.symbols ?? [])].filter(Boolean).join(" · ");
    const busy = job.state === "queued" || job.state === "running";
    return h(`article.card.job.${job.state}`, h("div", h("b", words), h("span.state", h("i", STATES[job.state] ?? "?"), job.state),
      h("span.dim", `${job.started ? format.stamp(Date.parse(job.started), true) : ""} ${job.rows ? `${format.short(job.rows)} rows` : ""}`),
      job.error ? h("span.error", job.error) : null,
      busy ? h("progress", { max: "1", value: String(job.progress ?? 0), "aria-label": "progress" }) : null),
    h("div.row.acts",
      job.state === "done" && (asked.kind ?? job.kind) === "backtest" ? h("button.ghost", { onclick: () => this.#report(job.id) }, "Report") : null,
      busy ? h("button.ghost", { onclick: () => this.#cancel(job.id) }, "Cancel") : null));
  }

  async #start() {
    this.error.textContent = "";
    let params;
    try {
      params = gridOf(this.params.value);
    } catch (error) {
      this.error.textContent = error.message;
      return;
    }
    const body = { kind: "backtest", strategies: [this.strategy.value], params, symbols: [this.symbol.value] };
    if (this.from.value) body.from = `${this.from.value}T00:00:00Z`;
    if (this.to.value) body.to = `${this.to.value}T00:00:00Z`;
    try {
      await command("POST", "jobs", body);
      toast("It is on its way");
      this.#look();
    } catch (problem) {
      this.error.textContent = [problem.field, problem.message, problem.hint].filter(Boolean).join(" — ");
    }
  }

  async #cancel(id) {
    await command("DELETE", `jobs/${id}`).catch((problem) => toast(problem.message, "bad"));
    this.#look();
  }

  async #report(id) {
    const path = `jobs/${encodeURIComponent(id)}/report`;
    // A token goes in no address: where one is needed, the report is saved instead.
    if (!token()) window.open(`/api/v1/${path}`, "_blank", "noopener");
    else await download(path, {}, `backtest-${id}.html`).catch((problem) => toast(problem.message, "bad"));
  }
}
