// Sets the colours before the first paint. Loaded as a classic script in the head, so that nothing flashes.
// "auto" (the default) follows the system; "dark" and "light" are kept in localStorage.
(function () {
  var kept = null;
  try { kept = localStorage.getItem("cbox-init.theme"); } catch (e) { /* storage is turned off */ }
  var dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
  var theme = kept === "dark" || kept === "light" ? kept : dark ? "dark" : "light";
  document.documentElement.dataset.theme = theme;
})();
