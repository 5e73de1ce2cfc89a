// Looks: theme and palette, kept; charts are told, as a canvas cannot read style sheets.

const root = document.documentElement;
export const changed = new EventTarget();

const PALETTES = ["cvd", "classic", "red-up"];
export const NAMES = { cvd: "blue and orange", classic: "green and red", "red-up": "red up, green down" };

function kept(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch { /* storage is off */ }
}

export function nextTheme() {
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
  kept("theme", root.dataset.theme);
  changed.dispatchEvent(new Event("looks"));
  return root.dataset.theme;
}

export function nextPalette() {
  const at = PALETTES.indexOf(root.dataset.palette);
  root.dataset.palette = PALETTES[(at + 1) % PALETTES.length];
  kept("palette", root.dataset.palette);
  changed.dispatchEvent(new Event("looks"));
  return root.dataset.palette;
}

/** The colours in force, for canvases. */
export function colours() {
  const style = getComputedStyle(root);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    text: of("text-2"), strong: of("text"), grid: of("grid"), line: of("line"), panel: of("panel"),
    up: of("up"), down: of("down"), upSoft: of("up-soft"), downSoft: of("down-soft"),
    band: of("band"), bandSoft: of("band-soft"), a: of("accent"), b: of("accent-2"),
    gap: of("gap"), healed: of("healed"), warn: of("warn"), cross: of("text-3"),
  };
}
