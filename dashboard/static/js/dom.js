// Elements from plain values. Text is always text: nothing here parses HTML.

/** Return an element: h("td.num", {title: "…", onclick: f}, "text", child, …). */
export function h(spec, props, ...children) {
  const [tag, ...classes] = spec.split(".");
  const node = document.createElement(tag || "div");
  if (classes.length) node.className = classes.join(" ");
  if (props instanceof Node || Array.isArray(props) || typeof props !== "object" || props === null) {
    children.unshift(props);
    props = {};
  }
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(node.dataset, value);
    else if (name in node && typeof value !== "string" && name !== "list") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(3).filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}

/** Replace what an element holds. */
export function fill(node, ...children) {
  node.replaceChildren(...children.flat(3).filter((c) => c !== null && c !== undefined));
  return node;
}

/** Set text only where it changed: the cheapest paint is none. */
export function text(node, value) {
  if (node.firstChild && node.firstChild.nodeType === 3 && node.childNodes.length === 1) {
    if (node.firstChild.data !== value) node.firstChild.data = value;
  } else node.textContent = value;
}

/** Keep rows in step with values by key; unchanged rows stay as they are. */
export function rows(parent, items, key, make, update) {
  const known = parent.rowsByKey ?? (parent.rowsByKey = new Map());
  const seen = new Set();
  let before = null;
  for (const item of items) {
    const id = key(item);
    seen.add(id);
    let row = known.get(id);
    if (!row) {
      row = make(item);
      known.set(id, row);
    }
    update(row, item);
    const place = before ? before.nextSibling : parent.firstChild;
    if (place !== row) parent.insertBefore(row, place);
    before = row;
  }
  for (const [id, row] of known) {
    if (!seen.has(id)) {
      row.remove();
      known.delete(id);
    }
  }
}

/** Say something to people who hear the page. */
export function say(words) {
  document.getElementById("spoken").textContent = words;
}

/** Show a short message; `kind`: ok, warn or bad. */
export function toast(words, kind = "ok", seconds = 5) {
  const box = document.getElementById("toasts");
  const note = h(`div.toast.${kind}`, h("i"), h("span", words),
    h("button.ghost.icon", { "aria-label": "Dismiss", onclick: () => note.remove() }, "×"));
  box.append(note);
  while (box.children.length > 4) box.firstChild.remove();
  if (seconds) setTimeout(() => note.remove(), seconds * 1000);
}

/** Ask; resolves to true where the answer is yes. */
export function confirm(title, words, yes) {
  return new Promise((resolve) => {
    const dialog = h("dialog.ask",
      h("form", { method: "dialog" },
        h("h2", title), h("p", words),
        h("div.row.end",
          h("button.ghost", { value: "no" }, "Cancel"),
          h("button.danger", { value: "yes", autofocus: true }, yes))));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Column heads; those that begin with # stand above numbers. */
export function heads(...names) {
  return names.map((n) => (n.startsWith("#") ? h("th.num", { scope: "col" }, n.slice(1)) : h("th", { scope: "col" }, n)));
}

/** A designed nothing: what is missing, and what to do. */
export function empty(title, words, action) {
  return h("div.empty", h("strong", title), h("p", words), action ?? null);
}

/** Grey bars in place of what is on its way. */
export function skeleton(lines = 4) {
  return h("div.skeleton", { "aria-hidden": "true" }, Array.from({ length: lines }, () => h("i")));
}
