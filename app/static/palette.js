// The palette: Ctrl-K or Cmd-K, a few letters, Enter. The server finds; this moves the choice.
(function () {
  "use strict";

  var palette = document.getElementById("palette");
  if (!palette) return;
  var input = palette.querySelector("input");
  var found = document.getElementById("palette-found");

  function options() {
    return Array.from(found.querySelectorAll("[role=option]"));
  }

  function choose(at) {
    var known = options();
    known.forEach(function (option, index) {
      option.setAttribute("aria-selected", String(index === at));
    });
    if (!known[at]) return input.removeAttribute("aria-activedescendant");
    input.setAttribute("aria-activedescendant", known[at].id);
    known[at].scrollIntoView({ block: "nearest" });
  }

  function chosen() {
    return options().findIndex(function (option) {
      return option.getAttribute("aria-selected") === "true";
    });
  }

  function open() {
    if (document.querySelector("dialog[open]")) return;
    palette.showModal();
    input.select();
    input.dispatchEvent(new Event("palette"));
  }

  document.addEventListener("keydown", function (event) {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      if (palette.open) palette.close();
      else open();
    }
  });

  document.addEventListener("click", function (event) {
    if (event.target.closest("[data-palette]")) open();
    if (event.target === palette) palette.close(); // beside it
  });

  input.addEventListener("keydown", function (event) {
    var count = options().length;
    var steps = { ArrowDown: 1, ArrowUp: -1 };
    if (event.key in steps && count) {
      event.preventDefault();
      choose((chosen() + steps[event.key] + count) % count);
    }
    if (event.key === "Enter") {
      event.preventDefault();
      var option = options()[chosen()];
      if (option) option.click();
    }
  });

  document.addEventListener("htmx:after:swap", function () {
    if (palette.open) choose(0);
  });
})();
