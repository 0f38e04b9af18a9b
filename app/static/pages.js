// Parts of single pages: tabs, arrow keys from day to day, raw answers as a tree. Without it every
// part of the page is open, and a raw answer is a link.
(function () {
  "use strict";

  function all(selector, place) {
    return Array.from((place || document).querySelectorAll(selector));
  }

  // --- tabs: <nav data-tabs> of links to sections of the page; the address remembers which ---

  function setUpTabs(nav) {
    var tabs = all("a", nav);
    var panes = tabs.map(function (tab) {
      return document.querySelector(tab.hash);
    });
    nav.setAttribute("role", "tablist");
    tabs.forEach(function (tab, at) {
      tab.setAttribute("role", "tab");
      tab.id = "tab-" + panes[at].id;
      tab.setAttribute("aria-controls", panes[at].id);
      panes[at].setAttribute("role", "tabpanel");
      panes[at].removeAttribute("aria-label");
      panes[at].setAttribute("aria-labelledby", tab.id);
    });

    function show(at) {
      tabs.forEach(function (tab, index) {
        var here = index === at;
        tab.setAttribute("aria-selected", String(here));
        tab.tabIndex = here ? 0 : -1;
        tab.classList.toggle("now", here);
        panes[index].hidden = !here;
      });
    }

    // The hash may name a pane, or something in one.
    function fromAddress() {
      var target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
      var at = panes.findIndex(function (pane) {
        return target && pane.contains(target);
      });
      show(Math.max(at, 0));
      if (target && panes[at] !== target) target.scrollIntoView();
    }

    function go(at) {
      history.replaceState(null, "", tabs[at].hash);
      show(at);
    }

    nav.addEventListener("click", function (event) {
      var at = tabs.indexOf(event.target.closest("a"));
      if (at < 0 || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault(); // or the page would jump
      go(at);
    });
    nav.addEventListener("keydown", function (event) {
      var here = tabs.indexOf(document.activeElement);
      var wanted = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: tabs.length - 1 }[event.key];
      if (here < 0 || wanted === undefined) return;
      event.preventDefault();
      wanted = (wanted + tabs.length) % tabs.length;
      go(wanted);
      tabs[wanted].focus();
    });
    window.addEventListener("hashchange", fromAddress);
    fromAddress();
  }

  // --- keys that press a link: data-press="ArrowLeft"; not while something is typed ---

  document.addEventListener("keydown", function (event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    if (event.target.closest("input, select, textarea, summary, [role=tab], dialog, [contenteditable]")) return;
    var link = document.querySelector('a[data-press="' + event.key + '"]');
    if (link && !document.querySelector("dialog[open]")) link.click();
  });

  // --- raw answers: fetched when opened, built branch by branch when a branch is opened ---

  var AT_ONCE = 100; // children of a branch; the rest after a press
  var LONGEST = 2000; // letters of a text that are shown

  function node(name, className, text) {
    var made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function isBranch(value) {
    return value !== null && typeof value === "object";
  }

  function leaf(value) {
    var text = JSON.stringify(value);
    return node("span", "json-" + (value === null ? "null" : typeof value), text.length > LONGEST ? text.slice(0, LONGEST) + " …" : text);
  }

  // The first plain values of a branch, so that one need not open each to find one.
  function hint(value) {
    var plain = Object.keys(value).filter(function (key) {
      return !isBranch(value[key]) && value[key] !== null;
    });
    var told = plain.slice(0, 3).map(function (key) {
      return (Array.isArray(value) ? "" : key + " ") + String(value[key]).slice(0, 30);
    });
    return told.join(" · ");
  }

  function entry(name, value, place) {
    var key = node("span", "json-key", name);
    if (!isBranch(value) || !Object.keys(value).length) {
      var line = node("div", "json-line");
      line.append(key, " ", isBranch(value) ? node("span", "json-null", Array.isArray(value) ? "[ ]" : "{ }") : leaf(value));
      return line;
    }
    var branch = node("details", "json-branch");
    var count = Object.keys(value).length;
    var summary = node("summary");
    summary.append(key, " ", node("span", "json-count", Array.isArray(value) ? "[" + count + "]" : "{" + count + "}"), " ", node("span", "json-hint", hint(value)));
    branch.append(summary);
    branch.addEventListener("toggle", function () {
      if (branch.open && branch.childElementCount === 1) branch.append(children(value, place));
    });
    return branch;
  }

  function children(value, place) {
    var box = node("div", "json-children");
    var keys = Object.keys(value);
    var shown = 0;

    function more() {
      keys.slice(shown, shown + AT_ONCE).forEach(function (key) {
        box.append(entry(key, value[key], place));
      });
      shown = Math.min(shown + AT_ONCE, keys.length);
      if (shown === keys.length) return;
      var button = node("button", "btn btn-sm btn-light", place.dataset.more.replace("{count}", Math.min(AT_ONCE, keys.length - shown)));
      button.type = "button";
      button.addEventListener("click", function () {
        var last = box.lastElementChild.previousElementSibling;
        button.remove();
        more();
        var next = last && last.nextElementSibling;
        var target = next && (next.querySelector("summary") || next);
        if (target) {
          if (!target.matches("summary")) target.tabIndex = -1;
          target.focus();
        }
      });
      box.append(button);
    }

    more();
    return box;
  }

  function openAnswer(answer) {
    var place = answer.querySelector("[data-tree]");
    if (answer.asked) return;
    answer.asked = true;
    place.replaceChildren(node("p", "aside", place.dataset.loading));
    place.setAttribute("aria-busy", "true");
    textOf(answer)
      .then(function (text) {
        var value = JSON.parse(text);
        var root = isBranch(value) ? children(value, place) : leaf(value);
        place.replaceChildren(root);
        // A step down is open: what one looks for is seldom the name of the envelope.
        all(":scope > details", root).slice(0, 1).forEach(function (first) {
          first.open = true;
        });
      })
      .catch(function () {
        answer.asked = false;
        place.replaceChildren(node("p", "aside", place.dataset.failed));
      })
      .finally(function () {
        place.removeAttribute("aria-busy");
      });
  }

  function textOf(answer) {
    if (!answer.text) {
      answer.text = fetch(answer.dataset.json, { credentials: "same-origin" }).then(function (response) {
        if (!response.ok || response.redirected) throw new Error(String(response.status));
        return response.text();
      });
      answer.text.catch(function () {
        answer.text = null;
      });
    }
    return answer.text;
  }

  // "toggle" does not bubble, but it can be caught on its way down.
  document.addEventListener(
    "toggle",
    function (event) {
      if (event.target.matches && event.target.matches("details[data-json]") && event.target.open) openAnswer(event.target);
    },
    true
  );

  document.addEventListener("click", function (event) {
    var button = event.target.closest("[data-copy]");
    if (!button) return;
    textOf(button.closest("[data-json]")).then(pretty).then(copy).then(function () {
      var label = button.querySelector("span");
      var before = label.textContent;
      label.textContent = button.dataset.copied;
      button.setAttribute("aria-live", "polite");
      window.setTimeout(function () {
        label.textContent = before;
      }, 2000);
    });
  });

  function pretty(text) {
    try {
      return JSON.stringify(JSON.parse(text), null, 2);
    } catch (_error) {
      return text; // no JSON: as it is
    }
  }

  // Over plain http, as in a home network, browsers offer only the old way.
  function copy(text) {
    if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
    var box = node("textarea", "visually-hidden");
    box.value = text;
    document.body.append(box);
    box.select();
    document.execCommand("copy");
    box.remove();
  }

  all("nav[data-tabs]").forEach(setUpTabs);
})();
