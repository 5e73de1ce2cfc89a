// Keys, and the list of them.

import { h } from "./dom.js";

const list = [];

/** Bind a key; `page`: only there. */
export function bind(key, words, act, page = null) {
  list.push({ key, words, act, page });
}

const typing = (node) => node.closest?.("input, textarea, select, [contenteditable]");

export function listen(pageNow) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (typing(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const key = event.key === " " ? "Space" : event.key;
    if (key === "Space" && event.target.closest?.("button, a, summary")) return;
    const found = list.find((one) => one.key === key && (!one.page || one.page === pageNow()));
    if (found) {
      event.preventDefault();
      found.act(event);
    }
  });
}

export function show() {
  const dialog = h("dialog.ask", h("form", { method: "dialog" },
    h("h2", "Keys"),
    h("dl.keys", list.filter((one) => one.words).map((one) => [
      h("dt", h("kbd", { ArrowLeft: "←", ArrowRight: "→" }[one.key] ?? one.key)), h("dd", one.words)])),
    h("div.row.end", h("button", { autofocus: true }, "Close"))));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
