// What the panel's pages do in the browser. Every page also works without it, except that nothing
// moves by itself and nothing asks back.
(function () {
  "use strict";

  // --- asking back before a form is sent; nothing is sent twice ---

  document.addEventListener("submit", function (event) {
    var form = event.target;
    if (form.method !== "post") return;
    var question = form.dataset.confirm;
    if (question && !window.confirm(question.replace("{count}", selected().length))) {
      event.preventDefault();
    } else if (form.dataset.sent) {
      event.preventDefault();
    } else {
      form.dataset.sent = "yes";
      form.classList.add("sent");
    }
  });

  // The back button may bring a page back as it was left.
  window.addEventListener("pageshow", function () {
    document.querySelectorAll("form[data-sent]").forEach(function (form) {
      delete form.dataset.sent;
      form.classList.remove("sent");
    });
    countSelection();
    showFitting();
  });

  // --- rows to tick ---

  function selected() {
    return document.querySelectorAll("[data-select]:checked");
  }

  function countSelection() {
    var count = selected().length;
    document.querySelectorAll("[data-needs-selection]").forEach(function (button) {
      button.disabled = count === 0;
    });
    document.querySelectorAll("[data-selected]").forEach(function (place) {
      place.textContent = count ? "(" + count + ")" : "";
    });
  }

  document.addEventListener("change", function (event) {
    if (event.target.matches("[data-select-all]")) {
      document.querySelectorAll("[data-select]").forEach(function (box) {
        box.checked = event.target.checked;
      });
    }
    if (event.target.matches("[data-select], [data-select-all]")) countSelection();
  });

  // --- parts of a form that belong to one choice: data-when="field=value" ---

  function showFitting() {
    document.querySelectorAll("form [data-when]").forEach(function (part) {
      var rule = part.dataset.when.split("=");
      part.hidden = part.closest("form").elements[rule[0]].value !== rule[1];
    });
  }

  document.addEventListener("change", showFitting);

  // --- small things ---

  document.addEventListener("click", function (event) {
    var closer = event.target.closest("[data-dismiss]");
    if (closer) closer.closest(".alert").remove();
    var opener = event.target.closest("[data-toggle-target]");
    if (opener) {
      var open = document.getElementById(opener.dataset.toggleTarget).classList.toggle("open");
      opener.setAttribute("aria-expanded", String(open));
    }
  });

  // --- parts that keep themselves up to date ---

  function replaceParts(place, html) {
    var fresh = new DOMParser().parseFromString(html, "text/html");
    fresh.querySelectorAll("[data-part]").forEach(function (part) {
      var old = place.querySelector('[data-part="' + part.dataset.part + '"]');
      // What holds a token differs every time: its version says whether it really does.
      var version = part.dataset.version;
      var same = version === undefined ? old.innerHTML === part.innerHTML : old.dataset.version === version;
      if (!same) old.replaceWith(document.importNode(part, true));
    });
  }

  function keepUpToDate(place) {
    var wait = Number(place.dataset.every);
    var asking = false;
    var timer = 0;

    function again() {
      window.clearTimeout(timer);
      timer = window.setTimeout(ask, wait);
    }

    function ask() {
      if (asking) return;
      if (document.hidden) return; // visibilitychange asks again
      asking = true;
      fetch(place.dataset.poll, { credentials: "same-origin" })
        .then(function (answer) {
          if (answer.redirected) return window.location.reload(); // signed out meanwhile
          if (!answer.ok) throw new Error(String(answer.status));
          return answer.text().then(function (html) {
            replaceParts(place, html);
            place.classList.remove("stale");
            if (answer.headers.get("X-Poll") === "stop") place.dataset.ended = "yes";
          });
        })
        .catch(function () {
          place.classList.add("stale"); // the server is away: what is shown may be old
        })
        .then(function () {
          asking = false;
          if (!place.dataset.ended) again();
        });
    }

    document.addEventListener("visibilitychange", function () {
      if (!document.hidden && !place.dataset.ended) ask();
    });
    again();
  }

  document.querySelectorAll("[data-poll][data-every]").forEach(keepUpToDate);
  countSelection();
  showFitting();
})();
