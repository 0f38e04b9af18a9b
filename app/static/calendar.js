// The calendar: days are chosen by dragging, by two presses, or by the arrow keys with Shift.
// Without it every day is a link: to what is stored, or to the offer to fetch it.
(function () {
  "use strict";

  var form = document.getElementById("choice");
  var years = document.getElementById("years");
  var clear = form && form.querySelector("[data-clear]");
  var chosen = null; // { source, from, to }: places among the days of the source
  var dragging = null; // { source, from, moved }
  var byKeyboard = false; // the button is to get the focus when it is there

  function sectionOf(source) {
    return document.querySelector('.year[data-source="' + source + '"]');
  }

  function daysOf(section) {
    return Array.from(section.querySelectorAll("[data-day]"));
  }

  function whereIs(day) {
    var section = day.closest(".year");
    return { source: section.dataset.source, at: daysOf(section).indexOf(day) };
  }

  // --- one stop for the Tab key in each year; arrows go on from there ---

  function stopAt(section, day) {
    daysOf(section).forEach(function (each) {
      each.tabIndex = each === day ? 0 : -1;
    });
  }

  function setUpStops() {
    years.querySelectorAll(".year").forEach(function (section) {
      var days = daysOf(section);
      var known = section.dataset.stop;
      var day =
        days.find(function (each) {
          return known ? each.dataset.day === known : each.matches(".today");
        }) || days[0];
      stopAt(section, day);
    });
  }

  function focusOn(day) {
    var section = day.closest(".year");
    section.dataset.stop = day.dataset.day;
    stopAt(section, day);
    day.focus();
  }

  // --- what is chosen ---

  function paint() {
    years.querySelectorAll(".chosen").forEach(function (day) {
      day.classList.remove("chosen");
    });
    if (clear) clear.hidden = !chosen;
    if (!chosen) return;
    daysOf(sectionOf(chosen.source))
      .slice(Math.min(chosen.from, chosen.to), Math.max(chosen.from, chosen.to) + 1)
      .forEach(function (day) {
        day.classList.add("chosen");
      });
  }

  function choose(source, from, to) {
    if (!form) return;
    chosen = { source: source, from: from, to: to };
    paint();
    var days = daysOf(sectionOf(source));
    form.elements.from.value = days[Math.min(from, to)].dataset.day;
    form.elements.to.value = days[Math.max(from, to)].dataset.day;
    form.elements.source.value = source;
  }

  // Asked only when the choice is made: not at each day that the mouse passes.
  function ask() {
    if (form) form.dispatchEvent(new Event("chosen"));
  }

  function forget() {
    chosen = null;
    byKeyboard = false;
    paint();
    document.getElementById("plan").replaceChildren();
  }

  // --- the mouse ---

  years.addEventListener("pointerdown", function (event) {
    var day = event.target.closest("[data-day]");
    dragging = null;
    if (!day || !form || event.pointerType !== "mouse" || event.button !== 0) return;
    var place = whereIs(day);
    dragging = { source: place.source, from: place.at, moved: false };
  });

  years.addEventListener("pointerover", function (event) {
    var day = event.target.closest("[data-day]");
    if (!dragging || !day || !(event.buttons & 1)) return;
    var place = whereIs(day);
    if (place.source !== dragging.source || (!dragging.moved && place.at === dragging.from)) return;
    dragging.moved = true;
    choose(place.source, dragging.from, place.at);
  });

  document.addEventListener("pointerup", function () {
    if (!dragging || !dragging.moved) return;
    ask();
    window.setTimeout(function () {
      dragging = null; // after the click that follows
    });
  });

  years.addEventListener("dragstart", function (event) {
    event.preventDefault();
  });

  years.addEventListener("click", function (event) {
    var day = event.target.closest("[data-day]");
    if (!day || !form || event.ctrlKey || event.metaKey) return;
    if (dragging && dragging.moved) return event.preventDefault();
    var place = whereIs(day);
    var going = chosen && chosen.source === place.source && (event.shiftKey || chosen.from === chosen.to);
    if (!going && !event.shiftKey && day.matches(".is-stored")) return; // a link like any other
    event.preventDefault();
    byKeyboard = event.detail === 0;
    if (going && !event.shiftKey && chosen.from === place.at && !byKeyboard) return forget();
    choose(place.source, going ? chosen.from : place.at, place.at);
    ask();
  });

  // --- the keyboard ---

  years.addEventListener("keydown", function (event) {
    var day = event.target.closest("[data-day]");
    if (!day || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && chosen) return forget();
    if (event.key === "Enter" && chosen && chosen.from !== chosen.to) {
      event.preventDefault();
      byKeyboard = true;
      return ask();
    }
    var step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -7, ArrowDown: 7, Home: -400, End: 400 }[event.key];
    if (!step) return;
    event.preventDefault();
    var days = daysOf(day.closest(".year"));
    var here = whereIs(day);
    var to = Math.min(Math.max(here.at + step, 0), days.length - 1);
    focusOn(days[to]);
    if (!event.shiftKey) return;
    var going = chosen && chosen.source === here.source && chosen.to === here.at;
    choose(here.source, going ? chosen.from : here.at, to);
    ask();
  });

  if (form) {
    clear.addEventListener("click", forget);
    document.addEventListener("htmx:after:swap", function () {
      var button = document.querySelector("#plan button, #plan a");
      if (!byKeyboard || !button) return;
      byKeyboard = false;
      button.focus();
    });
  }

  // The days were brought up to date: what is chosen and where one stands is not the server's.
  document.addEventListener("htmx:after:settle", function (event) {
    if (event.target.id !== "years") return;
    setUpStops();
    paint();
  });

  setUpStops();
})();
