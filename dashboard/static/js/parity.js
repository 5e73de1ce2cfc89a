// Parity: the newest proof that a replay of the recording gives what the live run gave; started here.

import { command, get } from "./api.js";
import { empty, fill, h, skeleton } from "./dom.js";
import * as format from "./format.js";
import { nameOf } from "./store.js";

export class Parity {
  constructor() {
    this.body = h("div", { id: "parity" }, skeleton(2));
    this.button = h("button", { onclick: () => this.#prove() }, "Prove now");
    this.panel = h("section.panel.whole", h("header", h("h1", "Parity"), h("span.dim", "the recording replayed, against what the live run said"), this.button), this.body);
    this.#look();
  }

  leave() {
    clearTimeout(this.timer);
    this.gone = true;
  }

  async #look() {
    let jobs;
    try {
      jobs = (await get("jobs")).items.filter((job) => job.kind === "parity");
    } catch (problem) {
      fill(this.body, empty("Cannot be had", problem.message));
      return;
    }
    if (this.gone) return;
    const busy = jobs.find((job) => job.state === "queued" || job.state === "running");
    this.button.disabled = Boolean(busy);
    if (busy) {
      fill(this.body, h("p", `replaying … ${format.short(busy.rows)} rows`), h("progress", { max: "1", value: String(busy.progress), "aria-label": "progress of the proof" }));
      this.timer = setTimeout(() => this.#look(), 1000);
      return;
    }
    const last = jobs.find((job) => job.state === "done" || job.state === "failed");
    if (!last) fill(this.body, empty("Not proven yet", "A replay of the recording takes seconds to minutes and disturbs nothing."));
    else if (last.state === "failed") fill(this.body, h("p.error", [last.error, last.hint].filter(Boolean).join(" — ")));
    else await this.#tell(last);
  }

  async #tell(job) {
    let found;
    try {
      found = await get(`jobs/${job.id}/result`);
    } catch (problem) {
      fill(this.body, empty("Its result cannot be had", problem.message));
      return;
    }
    if (this.gone) return;
    const records = found.verdicts.reduce((sum, one) => sum + one.records, 0);
    const bad = found.verdicts.filter((one) => !one.equal);
    fill(this.body,
      h(`p.verdict.${found.equal ? "complete" : "incomplete"}`, h("i", found.equal ? "✓" : "✕"),
        h("b", found.equal ? "equal" : "different"), ` ${format.grouped(String(records))} records in ${found.verdicts.length} streams, ${format.stamp(Date.parse(job.ended), true)}`),
      bad.length ? h("ul", bad.map((one) => h("li.error", `${nameOf(one.key)} ${one.stream}: ${one.detail}`))) : null);
  }

  async #prove() {
    this.button.disabled = true;
    try {
      await command("POST", "jobs", { kind: "parity" });
    } catch (problem) {
      this.button.disabled = false;
      fill(this.body, h("p.error", [problem.message, problem.hint].filter(Boolean).join(" — ")));
      return;
    }
    this.#look();
  }
}
