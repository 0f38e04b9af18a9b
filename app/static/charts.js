// Draws what a table says: [data-chart="id of the table"]. The table stays for those who cannot see
// the drawing, and is all there is without a script.
(function () {
  "use strict";

  function values(table, column) {
    return Array.from(table.tBodies[0].rows, function (row) {
      return row.cells[column].dataset.value;
    });
  }

  // A canvas does not know light-dark(): the browser is asked what a colour is here and now.
  function colour(place, name) {
    var probe = document.createElement("span");
    probe.className = "chart-" + name;
    place.append(probe);
    var found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  }

  function draw(place) {
    var table = document.getElementById(place.dataset.chart);
    var heads = Array.from(table.tHead.rows[0].cells);
    place.hidden = false;
    var chart = new window.Chart(place.querySelector("canvas"), {
      type: "bar",
      data: {
        labels: values(table, 0),
        datasets: heads.slice(1).map(function (head, at) {
          return { label: head.textContent, data: values(table, at + 1).map(Number), maxBarThickness: 28 };
        }),
      },
      options: {
        locale: document.documentElement.lang,
        animation: false,
        maintainAspectRatio: false,
        interaction: { mode: "index", intersect: false },
        plugins: { legend: { position: "bottom", labels: { boxWidth: 12 } } },
        scales: {
          x: { stacked: true, grid: { display: false } },
          y: { stacked: true, beginAtZero: true, ticks: { precision: 0, maxTicksLimit: 5 } },
        },
      },
    });

    function paint() {
      var text = colour(place, "text");
      var line = colour(place, "line");
      heads.slice(1).forEach(function (head, at) {
        chart.data.datasets[at].backgroundColor = colour(place, head.dataset.colour);
      });
      chart.options.plugins.legend.labels.color = text;
      ["x", "y"].forEach(function (axis) {
        chart.options.scales[axis].ticks.color = text;
        chart.options.scales[axis].grid.color = line;
      });
      chart.update();
    }

    paint();
    new MutationObserver(paint).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
  }

  if (!window.Chart) return;
  window.Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  document.querySelectorAll("[data-chart]").forEach(draw);
})();
