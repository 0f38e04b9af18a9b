// Light, dark, or as the system is. Runs before the page is painted, so that nothing flashes.
(function () {
  "use strict";

  var root = document.documentElement;
  var system = window.matchMedia("(prefers-color-scheme: dark)");

  function stored() {
    try {
      return window.localStorage.getItem("theme") || "system";
    } catch {
      return "system"; // a browser that keeps nothing
    }
  }

  function apply() {
    var wanted = stored();
    root.dataset.chosenTheme = wanted;
    root.dataset.bsTheme = wanted === "dark" || (wanted === "system" && system.matches) ? "dark" : "light";
  }

  window.chooseTheme = function (wanted) {
    try {
      window.localStorage.setItem("theme", wanted);
    } catch {
      root.dataset.chosenTheme = wanted;
    }
    apply();
  };
  system.addEventListener("change", apply);
  window.addEventListener("storage", apply); // another tab chose
  apply();
})();
