// What the panel's pages do in the browser. Every page also works without it, except that nothing
// moves by itself and nothing asks back.
(function () {
  "use strict";

  function all(selector, place) {
    return Array.from((place || document).querySelectorAll(selector));
  }

  // --- asking back before a form is sent; nothing is sent twice ---

  var asking = document.getElementById("asking");
  var askedFor = null; // the form the question is about, and the button that was pressed

  document.addEventListener("submit", function (event) {
    var form = event.target;
    if (form.method !== "post" || event.defaultPrevented) return;
    if (form.dataset.sent) return event.preventDefault();
    if (questionOf(form, event.submitter) && asking && !form.dataset.agreed) {
      event.preventDefault();
      return ask(form, event.submitter);
    }
    delete form.dataset.agreed;
    form.dataset.sent = "yes";
    form.classList.add("sent");
  });

  function questionOf(form, button) {
    return (button && button.dataset.confirm) || form.dataset.confirm;
  }

  function ask(form, button) {
    var yes = asking.querySelector("[value=yes]");
    var typed = asking.querySelector("input");
    var dangerous = button && /danger/.test(button.className);
    asking.querySelector("[data-question]").textContent = questionOf(form, button).replace("{count}", howMany());
    yes.textContent = button ? button.textContent.trim() : yes.dataset.word;
    yes.className = "btn " + (dangerous || form.dataset.typed ? "btn-danger" : "btn-primary");
    asking.querySelector("[data-typed-name]").textContent = form.dataset.typed || "";
    typed.parentElement.hidden = !form.dataset.typed;
    typed.value = "";
    yes.disabled = Boolean(form.dataset.typed);
    askedFor = { form: form, button: button };
    asking.returnValue = "";
    asking.showModal();
  }

  if (asking) {
    asking.addEventListener("input", function (event) {
      asking.querySelector("[value=yes]").disabled = event.target.value.trim() !== askedFor.form.dataset.typed;
    });
    asking.addEventListener("click", function (event) {
      var button = event.target.closest("button");
      if (button || event.target === asking) asking.close(button ? button.value : "no");
    });
    asking.addEventListener("close", function () {
      if (asking.returnValue !== "yes" || !askedFor.form.isConnected) return;
      askedFor.form.dataset.agreed = "yes";
      var button = askedFor.button;
      askedFor.form.requestSubmit(button && button.isConnected ? button : undefined);
    });
  }

  // The back button may bring a page back as it was left.
  window.addEventListener("pageshow", function () {
    all("form[data-sent]").forEach(function (form) {
      delete form.dataset.sent;
      form.classList.remove("sent");
    });
    countSelection();
    showFitting();
  });

  // --- rows to tick ---

  function selected() {
    return all("[data-select]:checked");
  }

  // "All that match" stands for rows on other pages too: the page knows how many those are.
  function howMany() {
    var everything = document.querySelector("[data-select-matching]:checked");
    return everything ? everything.dataset.selectMatching : String(selected().length);
  }

  function countSelection() {
    var count = howMany();
    all("[data-needs-selection]").forEach(function (button) {
      button.disabled = count === "0";
    });
    all("[data-selected]").forEach(function (place) {
      place.textContent = count === "0" ? "" : "(" + count + ")";
    });
    all("[data-selected-words]").forEach(function (place) {
      place.textContent = place.dataset.selectedWords.replace("{count}", count);
    });
    all("[data-bulk]").forEach(function (bar) {
      bar.hidden = count === "0";
    });
  }

  document.addEventListener("change", function (event) {
    if (event.target.matches("[data-select-all]")) {
      all("[data-select]").forEach(function (box) {
        box.checked = event.target.checked;
      });
    }
    if (event.target.matches("[data-select], [data-select-all], [data-select-matching]")) countSelection();
    showFitting();
  });

  // --- parts of a form that belong to one choice: data-when="field=value" ---

  function showFitting() {
    all("form [data-when]").forEach(function (part) {
      var rule = part.dataset.when.split("=");
      part.hidden = part.closest("form").elements[rule[0]].value !== rule[1];
    });
  }

  // --- tables whose rows become cards on a phone: each cell knows the name of its column ---

  function nameCells(place) {
    all(".sheet table", place).forEach(function (table) {
      if (!table.tHead || table.matches(".incidents, .statistics")) return;
      var names = Array.from(table.tHead.rows[0].cells, function (cell) {
        return cell.textContent.replace(/[↑↓]/g, "").trim();
      });
      table.classList.add("cards-on-phone");
      all("tbody tr", table).forEach(function (row) {
        Array.from(row.cells).forEach(function (cell, at) {
          if (names[at] && cell.colSpan === 1 && !cell.matches(".row-buttons, .tick")) cell.dataset.label = names[at];
        });
      });
    });
  }

  // --- tables wider than their place: whoever has no mouse moves them with the arrow keys ---

  var FOCUSABLE = "a[href], button, input, select, textarea, summary, [tabindex='0']";

  function letScroll(sheet) {
    var wide = sheet.scrollWidth > sheet.clientWidth || sheet.scrollHeight > sheet.clientHeight;
    if (!wide || sheet.querySelector(FOCUSABLE)) {
      sheet.removeAttribute("tabindex");
      return;
    }
    var before = sheet.previousElementSibling;
    var heading = before && before.matches("h2, h3") ? before : document.querySelector("h1");
    sheet.tabIndex = 0;
    sheet.setAttribute("role", "group");
    sheet.setAttribute("aria-label", heading.textContent.trim().slice(0, 100));
  }

  var widths = new ResizeObserver(function (seen) {
    seen.forEach(function (one) {
      letScroll(one.target.closest(".sheet"));
    });
  });

  function watchWidths(place) {
    all(".sheet, .sheet > table", place).forEach(function (part) {
      widths.observe(part);
    });
  }

  // --- messages: what went well goes away by itself, what went wrong stays until it is closed ---

  var STAYS_MS = 7000;

  function letGo(note) {
    if (note.classList.contains("note-bad")) return;
    var timer = 0;
    function start() {
      timer = window.setTimeout(function () {
        note.remove();
      }, STAYS_MS);
    }
    function hold() {
      window.clearTimeout(timer);
    }
    ["mouseenter", "focusin"].forEach(function (name) {
      note.addEventListener(name, hold);
    });
    ["mouseleave", "focusout"].forEach(function (name) {
      note.addEventListener(name, start);
    });
    start();
  }

  // --- small things ---

  function toggleSide(open) {
    var side = document.getElementById("side");
    side.classList.toggle("open", open);
    var opener = document.querySelector(".top .burger");
    opener.setAttribute("aria-expanded", String(open));
    (open ? side.querySelector("button, a") : opener).focus();
  }

  document.addEventListener("click", function (event) {
    var closer = event.target.closest("[data-dismiss]");
    if (closer) closer.closest(".alert, .note").remove();
    var theme = event.target.closest("[data-theme-choice]");
    if (theme) window.chooseTheme(theme.dataset.themeChoice);
    var side = document.getElementById("side");
    if (!side) return;
    if (event.target.closest(".burger")) toggleSide(!side.classList.contains("open"));
    else if (side.classList.contains("open") && !side.contains(event.target)) toggleSide(false);
  });

  // Boxes that hang under a button close when something else is pressed.
  function closePops(but) {
    all("details.pop[open]").forEach(function (pop) {
      if (pop !== but) pop.open = false;
    });
  }

  document.addEventListener("click", function (event) {
    closePops(event.target.closest("details.pop"));
  });

  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape") closePops(null);
    var side = document.getElementById("side");
    if (event.key === "Escape" && side && side.classList.contains("open")) toggleSide(false);
  });

  // --- parts that keep themselves up to date: htmx asks, this says when and what then ---

  document.addEventListener("htmx:before:request", function (event) {
    var ctx = event.detail.ctx;
    var place = ctx.sourceElement;
    if (!place.matches("[data-live]")) return;
    if (document.hidden || place.dataset.ended || document.querySelector("dialog[open].asking")) {
      return event.preventDefault();
    }
    if (place.liveVersion) ctx.request.headers["If-None-Match"] = place.liveVersion;
  });

  document.addEventListener("htmx:before:response", function (event) {
    var ctx = event.detail.ctx;
    var place = ctx.sourceElement;
    if (!place.matches("[data-live]")) return;
    if (ctx.response.raw.redirected) {
      event.preventDefault();
      return window.location.reload(); // signed out meanwhile
    }
    if (ctx.response.status >= 400) {
      event.preventDefault();
      return place.classList.add("stale"); // what is shown may be old
    }
    place.classList.remove("stale");
    place.liveVersion = ctx.response.headers.get("ETag") || place.liveVersion;
    if (ctx.response.headers.get("X-Poll") === "stop") place.dataset.ended = "yes";
  });

  document.addEventListener("htmx:error", function (event) {
    var place = event.detail.ctx && event.detail.ctx.sourceElement;
    if (place && place.matches("[data-live]")) place.classList.add("stale"); // the server is away
  });

  document.addEventListener("htmx:after:settle", function (event) {
    nameCells(event.target);
    watchWidths(event.target);
  });

  document.addEventListener("visibilitychange", function () {
    if (document.hidden) return;
    all("[data-live]").forEach(function (place) {
      place.dispatchEvent(new Event("live"));
    });
  });

  nameCells(document);
  watchWidths(document);
  all(".note").forEach(letGo);
  countSelection();
  showFitting();
})();
