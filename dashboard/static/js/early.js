// Before anything is painted: the looks that were chosen, so that nothing flashes.
(function () {
  "use strict";
  var root = document.documentElement;
  var theme = null, palette = null;
  try {
    theme = localStorage.getItem("theme");
    palette = localStorage.getItem("palette");
  } catch (error) { /* storage is off: the defaults hold */ }
  if (theme !== "dark" && theme !== "light") {
    theme = matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
  }
  root.dataset.theme = theme;
  root.dataset.palette = palette === "classic" || palette === "red-up" ? palette : "cvd";
})();
