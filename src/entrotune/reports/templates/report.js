"use strict";
(() => {
  const root = document.documentElement;
  const holder = document.getElementById("figures");
  const figures = holder ? JSON.parse(holder.textContent) : {};
  const plots = [...document.querySelectorAll("[data-figure]")];
  const hidden = new Set();
  let printing = false;
  const systemDark = window.matchMedia("(prefers-color-scheme: dark)");

  const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();

  function faded(hex, opacity) {
    const parts = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    return `rgba(${parts.join(",")},${opacity})`;
  }

  function painted(trace, columns) {
    const { meta } = trace;
    const own = colour(`series-${meta.colour}`);
    const copy = { ...trace, line: { ...trace.line, color: own }, visible: !hidden.has(meta.variant) };
    if (meta.paint === "band") {
      copy.line.color = "rgba(0,0,0,0)";
      copy.fillcolor = faded(own, 0.16);
      copy.showlegend = false;
      return copy;
    }
    copy.marker = { ...trace.marker, color: own, line: { color: colour("paper"), width: 1 } };
    copy.textfont = { color: own, size: 11 };
    if (columns) {
      const bars = (column) => ({
        type: "data", array: column.above, arrayminus: column.below, symmetric: false,
        thickness: 1, width: 0, color: faded(own, 0.5),
      });
      copy.x = columns.x.value;
      copy.y = columns.y.value;
      copy.error_x = bars(columns.x);
      copy.error_y = bars(columns.y);
    }
    return copy;
  }

  const chosen = (axis) => document.querySelector(`select[data-axis="${axis}"]`).value;

  // The span of all values and interval arms, hidden variants included so that the scale stays put.
  function frontAxis(figure, name) {
    const { title, better, log } = figure.axes[name];
    const ends = figure.columns.flatMap(({ [name]: column }) => column.value.flatMap((value, at) => (
      value === null ? [] : [value - column.below[at], value + column.above[at]]
    )));
    const [low, high] = [Math.min(...ends), Math.max(...ends)];
    const air = 0.07 * (high - low) || 0.1 * Math.abs(high) || 0.1;
    let range = [low - air, high + air];
    if (log) {
      const values = figure.columns.flatMap(({ [name]: column }) => column.value.filter((value) => value !== null));
      const [least, most] = [Math.log10(Math.min(...values)), Math.log10(Math.max(...values))];
      range = [least - 0.1 * (most - least), most + 0.1 * (most - least)];
    }
    return {
      title: { text: better ? `${title}   better →` : title },
      range: better === "lower" ? range.reverse() : range,
      ...(log ? { type: "log", dtick: "D2", exponentformat: "none" } : {}),
    };
  }

  // Traces that no other is at least as good as in both measures and better in one, best quality first.
  function unbeaten(figure, columns, x, y) {
    const sign = (name) => (figure.axes[name].better === "lower" ? -1 : 1);
    const points = columns.map((column, trace) => ({
      trace, hidden: hidden.has(figure.data[trace].meta.variant),
      x: column.x.value[0], y: column.y.value[0],
      right: sign(x) * column.x.value[0], up: sign(y) * column.y.value[0],
    })).filter((one) => !one.hidden && one.x !== null && one.y !== null);
    const beats = (one, other) => (
      one.right >= other.right && one.up >= other.up && (one.right > other.right || one.up > other.up)
    );
    return points.filter((one) => !points.some((other) => beats(other, one))).sort((a, b) => b.up - a.up);
  }

  // Names of points, lifted until they cover neither another nor any point; at the right edge they stand to the left.
  function names(figure, columns, best, xaxis, yaxis, plot, margin) {
    const size = { x: plot.clientWidth - margin.l - margin.r, y: figure.layout.height - margin.t - margin.b };
    const share = (axis, value) => {
      const scaled = axis.type === "log" ? Math.log10(value) : value;
      return (scaled - axis.range[0]) / (axis.range[1] - axis.range[0]);
    };
    const placed = columns.filter((column, trace) => (
      !hidden.has(figure.data[trace].meta.variant) && column.x.value[0] !== null && column.y.value[0] !== null
    )).map((column) => {
      const at = share(xaxis, column.x.value[0]) * size.x;
      return { start: at - 7, end: at + 7, height: share(yaxis, column.y.value[0]) * size.y };
    });
    return [...best].reverse().map((one) => {
      const text = figure.data[one.trace].name;
      const [at, width] = [share(xaxis, one.x) * size.x, 6.4 * text.length + 6];
      const leftwards = at + 10 + width > size.x + margin.r;
      const start = leftwards ? at - 10 - width : at + 10;
      const base = share(yaxis, one.y) * size.y;
      let height = base + 14;
      while (placed.some((p) => Math.abs(p.height - height) < 15 && start < p.end && p.start < start + width)) height += 3;
      placed.push({ start, end: start + width, height });
      return {
        x: xaxis.type === "log" ? Math.log10(one.x) : one.x, y: yaxis.type === "log" ? Math.log10(one.y) : one.y,
        text, ax: leftwards ? -8 : 8, ay: base - height, xanchor: leftwards ? "right" : "left", yanchor: "middle",
        showarrow: true, arrowhead: 0, arrowwidth: 0.75, standoff: 6,
        arrowcolor: colour("soft"), font: { size: 11, color: colour(`series-${figure.data[one.trace].meta.colour}`) },
      };
    });
  }

  function frontLine(best) {
    return {
      type: "scatter", mode: "lines", x: best.map((one) => one.x), y: best.map((one) => one.y), hoverinfo: "skip",
      line: { color: colour("soft"), width: 1, dash: "dot" }, showlegend: false,
    };
  }

  function axis(own, shared) {
    return { ...shared, ...own, title: { ...own.title, standoff: 8 } };
  }

  function draw(plot) {
    const figure = figures[plot.dataset.figure];
    const narrow = plot.clientWidth < 480;
    let { xaxis, yaxis } = figure.layout;
    let columns = null;
    if (figure.columns) {
      const [x, y] = [chosen("diversity"), chosen("quality")];
      xaxis = { ...xaxis, ...frontAxis(figure, x) };
      yaxis = { ...yaxis, ...frontAxis(figure, y) };
      columns = figure.columns.map((column) => ({ x: column[x], y: column[y] }));
    }
    const shared = {
      gridcolor: colour("rule"), zerolinecolor: colour("rule"), linecolor: colour("soft"), tickcolor: colour("soft"),
      exponentformat: "power", showline: true, ticks: "outside", ticklen: 4, automargin: true, fixedrange: true, nticks: narrow ? 5 : 8,
    };
    const layout = {
      showlegend: false,
      ...figure.layout,
      xaxis: axis(xaxis, { ...shared, zeroline: false }),
      yaxis: axis(yaxis, { ...shared, zeroline: false }),
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("ink") },
      hoverlabel: { bgcolor: colour("wash"), bordercolor: colour("rule"), font: { color: colour("ink") } },
      legend: {
        orientation: "h", x: 0, y: figure.layout.shapes ? 1.09 : 1.02, yanchor: "bottom", traceorder: "normal",
        itemclick: false, itemdoubleclick: false,
      },
      margin: { l: narrow ? 44 : 56, r: 16, t: figure.layout.showlegend ? 44 : 24, b: 44 },
      hovermode: "closest", dragmode: false, autosize: true,
    };
    if (layout.shapes) {
      const line = { ...layout.shapes[0].line, color: colour("soft") };
      layout.shapes = [{ ...layout.shapes[0], line }];
      layout.annotations = [{ ...layout.annotations[0], font: { size: 11, color: colour("soft") } }];
    }
    if (printing) {
      layout.autosize = false;
      layout.width = Math.min(plot.clientWidth, plot.closest(".panels") ? 300 : 640);
    }
    const data = figure.data.map((trace, index) => painted(trace, columns && columns[index]));
    if (figure.names_best) {
      const best = unbeaten(figure, columns, chosen("diversity"), chosen("quality"));
      const named = new Set(best.map((one) => one.trace));
      data.forEach((trace, index) => {
        if (!named.has(index)) Object.assign(trace, { error_x: { visible: false }, error_y: { visible: false } });
      });
      layout.annotations = names(figure, columns, best, xaxis, yaxis, plot, layout.margin);
      data.unshift(frontLine(best));
    }
    return Plotly.react(plot, data, layout, { responsive: true, displayModeBar: false });
  }

  const drawAll = () => plots.forEach(draw);

  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : systemDark.matches);
  const themeButton = document.getElementById("theme");

  function tellTheme() {
    themeButton.textContent = isDark() ? "Light" : "Dark";
    themeButton.setAttribute("aria-label", `Switch to ${isDark() ? "light" : "dark"} colours`);
  }

  function setTheme(theme) {
    root.dataset.theme = theme;
    tellTheme();
    drawAll();
  }

  function readHash() {
    const asked = /theme=(light|dark)/.exec(window.location.hash);
    if (asked) root.dataset.theme = asked[1];
  }

  function toggleVariant(variant) {
    if (!hidden.delete(variant)) hidden.add(variant);
    document.querySelectorAll(`.key [data-variant="${variant}"]`).forEach((button) => {
      button.setAttribute("aria-pressed", String(!hidden.has(variant)));
    });
    drawAll();
  }

  function showTemperature() {
    const input = document.querySelector('[name="temperature"]:checked');
    document.querySelectorAll("[data-temperature]").forEach((block) => {
      block.hidden = Boolean(input && input.value) && block.dataset.temperature !== input.value;
    });
  }

  themeButton.hidden = false;
  themeButton.addEventListener("click", () => setTheme(isDark() ? "light" : "dark"));
  systemDark.addEventListener("change", () => { tellTheme(); drawAll(); });
  document.querySelectorAll(".key [data-variant]").forEach((button) => {
    button.addEventListener("click", () => toggleVariant(Number(button.dataset.variant)));
  });
  document.querySelectorAll("select[data-axis]").forEach((select) => select.addEventListener("change", drawAll));
  const choice = document.getElementById("temperature-choice");
  if (choice) {
    choice.hidden = false;
    choice.addEventListener("change", showTemperature);
    showTemperature();
  }

  // Paper is white and shows what a click would open.
  let before = null;
  window.addEventListener("beforeprint", () => {
    before = { theme: root.dataset.theme, closed: [...document.querySelectorAll("details:not([open])")] };
    before.closed.forEach((details) => { details.open = true; });
    printing = true;
    setTheme("light");
  });
  window.addEventListener("afterprint", () => {
    before.closed.forEach((details) => { details.open = false; });
    printing = false;
    if (before.theme) root.dataset.theme = before.theme;
    else delete root.dataset.theme;
    tellTheme();
    drawAll();
  });

  readHash();
  tellTheme();
  drawAll();
})();
