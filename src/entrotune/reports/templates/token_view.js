"use strict";
(() => {
  const data = JSON.parse(document.getElementById("token-data").textContent);
  const byId = (id) => document.getElementById(id);
  const panel = byId("panel");
  const tip = byId("tip");
  const wide = window.matchMedia("(min-width: 58.01rem)");
  const sliders = ["temperature", "top-k", "top-p", "min-p"].map(byId);
  const boxes = [...document.querySelectorAll(".tokens")];
  const most = Number(byId("top-k").max); // stands for no limit
  const { percent, range, count } = tokenSettings;
  const CLOSE = 0.002; // ends of a range that are shown as one number
  let measure = "entropy";
  let chosen = null;

  // ---- words and numbers

  // White space at the ends, line ends and tabs can be seen.
  function shown(piece) {
    if (piece === "") return "(nothing)";
    return piece.replace(/^ +| +$/g, (spaces) => "␣".repeat(spaces.length)).replaceAll("\n", "↵").replaceAll("\t", "⇥");
  }

  const piece = (place) => data.pieces[place];
  const value = (text, index, name) => (index < 1 ? undefined : data.texts[text][name][index - 1]);

  function describe(text, index) {
    const own = data.texts[text];
    const name = index < own.t.length ? `“${shown(piece(own.t[index]))}”` : "what would follow";
    if (index === 0) return `${name}\nthe first token: nothing was predicted before it`;
    const lines = [name, `entropy ${value(text, index, "entropy").toFixed(2)} nats`];
    if (index < own.t.length) {
      lines.push(`surprisal ${value(text, index, "nll").toFixed(2)} nats`);
    }
    lines.push(`varentropy ${value(text, index, "varentropy").toFixed(2)} nats²`);
    return lines.join("\n");
  }

  // ---- the texts

  function build(box) {
    const text = Number(box.dataset.text);
    const own = data.texts[text];
    box.textContent = "";
    own.t.forEach((place, index) => box.append(token(text, index, piece(place))));
    if (!own.cut) {
      const after = token(text, own.t.length, "▷");
      after.classList.add("after");
      box.append(after);
    }
    const first = box.children[1] || box.children[0];
    first.tabIndex = 0;
  }

  function token(text, index, words) {
    const own = data.texts[text];
    const span = document.createElement("span");
    span.className = "t";
    if (own.g[index]) span.classList.add("given");
    if (index === 0) span.classList.add("none");
    span.dataset.index = index;
    span.tabIndex = -1;
    span.setAttribute("role", "button");
    span.setAttribute("aria-pressed", "false");
    span.setAttribute("aria-label", describe(text, index).replaceAll("\n", ", "));
    span.textContent = words.replaceAll("\n", "↵\n").replaceAll("\t", "⇥");
    return span;
  }

  function paint() {
    document.querySelectorAll("[data-text], [data-trace], #legend").forEach((one) => { one.dataset.measure = measure; });
    boxes.forEach((box) => {
      const text = Number(box.dataset.text);
      [...box.children].forEach((span, index) => {
        const own = value(text, index, measure);
        span.style.setProperty("--v", own === undefined ? 0 : Math.min(1, own / data.scales[measure]).toFixed(3));
      });
    });
    const input = document.querySelector('[name="measure"]:checked');
    const legend = byId("legend");
    const top = data.scales[measure];
    const ticks = legend.querySelector(".ticks");
    ticks.textContent = "";
    [0, top / 2, top].forEach((tick, at) => {
      const span = document.createElement("span");
      span.textContent = `${Number(tick.toPrecision(3))}${at === 2 ? ` ${input.dataset.unit} and more` : ""}`;
      ticks.append(span);
    });
    legend.querySelector("small").textContent = `${input.dataset.label}: ${input.dataset.told}`;
    legend.hidden = false;
    document.querySelectorAll("[data-trace]").forEach(trace);
  }

  // ---- the line under a text

  function svg(name, attributes, words) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    Object.entries(attributes).forEach(([key, own]) => node.setAttribute(key, own));
    if (words !== undefined) node.textContent = words;
    return node;
  }

  function trace(holder) {
    const text = Number(holder.dataset.trace);
    const own = data.texts[text];
    const values = own[measure];
    holder.textContent = "";
    const width = holder.clientWidth;
    if (!values.length || width < 60) return;
    const [left, right, top, bottom] = [34, 6, 8, 86];
    const high = Math.max(...values, 1e-6);
    const x = (index) => left + ((width - left - right) * (index - 0.5)) / values.length;
    const y = (one) => bottom - ((bottom - top) * one) / high;
    const label = document.querySelector('[name="measure"]:checked').dataset;
    const root = svg("svg", { role: "img", "aria-label": `${label.label} over the tokens of the text, up to ${high.toFixed(2)} ${label.unit}` });
    for (let from = 1; from < own.g.length; from += 1) {
      let to = from;
      while (to < own.g.length && own.g[to]) to += 1;
      if (to > from) {
        root.append(svg("rect", { class: "asked", x: x(from - 0.5), y: top, width: x(to - 0.5) - x(from - 0.5), height: bottom - top }));
        from = to;
      }
    }
    [0, high].forEach((tick) => {
      root.append(svg("line", { class: "axis", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }));
      root.append(svg("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, tick ? tick.toFixed(1) : "0"));
    });
    root.append(svg("text", { x: left, y: 101 }, `token 1`));
    root.append(svg("text", { x: width - right, y: 101, "text-anchor": "end" }, `${count(values.length)}`));
    root.append(svg("polyline", { class: "line", points: values.map((one, at) => `${x(at + 1).toFixed(1)},${y(one).toFixed(1)}`).join(" ") }));
    if (chosen && chosen.text === text && chosen.index >= 1 && chosen.index <= values.length) {
      const at = x(chosen.index);
      root.append(svg("line", { class: "now", x1: at, x2: at, y1: top, y2: bottom }));
      root.append(svg("circle", { cx: at, cy: y(values[chosen.index - 1]), r: 4 }));
    }
    const index = (event) => {
      const at = (event.clientX - root.getBoundingClientRect().left - left) / (width - left - right);
      return Math.min(values.length, Math.max(1, Math.ceil(at * values.length)));
    };
    root.addEventListener("click", (event) => choose(text, index(event), true));
    root.addEventListener("pointermove", (event) => tell(event, text, index(event)));
    root.addEventListener("pointerleave", () => { tip.hidden = true; });
    holder.append(root);
  }

  // ---- what settings would keep

  function settings() {
    const [temperature, topK, topP, minP] = sliders.map((slider) => Number(slider.value));
    return { temperature, topK: topK >= most ? null : topK, topP: topP >= 1 ? null : topP, minP: minP > 0 ? minP : null };
  }

  // ---- the panel

  function line(kind, words, own, now, told, cumulative, highest) {
    const item = document.createElement("li");
    item.className = kind;
    const cell = (name, content) => {
      const span = document.createElement("span");
      span.className = name;
      span.textContent = content;
      item.append(span);
      return span;
    };
    cell("piece", words).title = words;
    const bar = cell("bar", "");
    bar.setAttribute("aria-hidden", "true");
    [["own", own], ["new", now]].forEach(([name, p]) => {
      const part = document.createElement("span");
      part.className = name;
      part.style.width = `${Math.min(100, (100 * p) / highest)}%`;
      bar.append(part);
    });
    cell("p", told);
    cell("c", cumulative);
    return item;
  }

  function show() {
    if (!chosen) return;
    const { text, index } = chosen;
    const own = data.texts[text];
    const at = index - 1;
    const follows = index >= own.t.length;
    byId("panel-token").textContent = follows ? "▷ What would follow" : `“${shown(piece(own.t[index]))}”`;
    const numbers = byId("panel-numbers");
    const bars = byId("bars");
    numbers.textContent = "";
    bars.textContent = "";
    byId("settings").hidden = index === 0;
    if (index === 0) {
      byId("panel-place").textContent = "The first token: nothing precedes it, so nothing was predicted.";
      byId("kept").textContent = "";
      return;
    }
    const before = `token ${count(index)}${own.g[index] ? ", part of the prompt" : ""}; predicted at token ${count(at)}, “${shown(piece(own.t[at]))}”`;
    byId("panel-place").textContent = follows ? `predicted at the last token, “${shown(piece(own.t[at]))}”` : before;
    const facts = [["Entropy", `${own.entropy[at].toFixed(3)} nats`], ["Varentropy", `${own.varentropy[at].toFixed(3)} nats²`]];
    if (!follows) {
      facts.unshift(["Surprisal", `${own.nll[at].toFixed(3)} nats`], ["Probability", percent(Math.exp(-own.nll[at]))]);
      facts.push(["Rank", `${count(own.r[at] + 1)} of ${count(data.vocabulary)}`]);
    }
    facts.forEach(([term, told]) => {
      const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
      dt.textContent = term;
      dd.textContent = told;
      numbers.append(dt, dd);
    });
    const asked = settings();
    const off = tokenSettings.isOff(asked);
    const logs = own.lp[at].map((one) => -one / 1e4);
    const found = tokenSettings.kept(logs, own.tails && own.tails[at], data.vocabulary, asked);
    const least = ([low, high]) => (high - low < CLOSE ? (low + high) / 2 : low);
    const told = (ends, p) => (ends[1] - ends[0] < CLOSE ? percent(p) : `≥ ${percent(p)}`);
    const highest = Math.max(Math.exp(logs[0]), least(found.probabilities[0]));
    const head = line("head", "token", 0, 0, "p", "sum", 1);
    head.setAttribute("aria-hidden", "true");
    bars.append(head);
    let sum = 0;
    own.top[at].forEach((place, k) => {
      const p = Math.exp(logs[k]);
      const ends = found.probabilities[k];
      const now = off ? p : least(ends);
      sum += now;
      const here = !follows && k === own.at[at];
      const kind = `${now > 0 ? "" : "out"}${here ? " here" : ""}`;
      const item = line(kind, shown(piece(place)), p, now, told(ends, now), now > 0 ? percent(sum) : "", highest);
      item.title = `${percent(p)} at temperature 1${off ? "" : `; ${range(...ends, percent)} with the settings`}${here ? "; the text's own token" : ""}`;
      bars.append(item);
    });
    if (own.tails) {
      const rest = Math.exp(own.tails[at][0]);
      const words = off ? percent(rest) : range(...found.rest, percent);
      const kind = off || found.rest[1] > 0 ? "rest" : "rest out";
      const item = line(kind, `${count(data.vocabulary - logs.length)} others`, rest, off ? rest : least(found.rest), off ? words : told(found.rest, least(found.rest)), "", highest);
      item.title = off ? words : `${percent(rest)} at temperature 1; ${words} with the settings`;
      bars.append(item);
      if (!follows && own.at[at] === null) {
        const p = Math.exp(-own.nll[at]);
        bars.append(line("here", shown(piece(own.t[index])), p, 0, percent(p), "", highest));
      }
    }
    byId("kept").textContent = tokenSettings.sentence(found, data.vocabulary, asked);
    const { temperature, topK, topP, minP } = asked;
    [temperature === 0 ? "0 (the likeliest)" : temperature.toFixed(2), topK ?? "off", topP ?? "off", minP ?? "off"].forEach((told, k) => {
      byId(`${sliders[k].id}-told`).textContent = told;
      sliders[k].setAttribute("aria-valuetext", told);
    });
  }

  function choose(text, index, open) {
    const box = boxes[text];
    const span = box.children[index];
    if (!span) return;
    const before = chosen;
    if (before) boxes[before.text].children[before.index].setAttribute("aria-pressed", "false");
    chosen = { text, index };
    span.setAttribute("aria-pressed", "true");
    rove(box, span);
    const [top, height] = [span.offsetTop, span.offsetHeight];
    if (top < box.scrollTop || top + height > box.scrollTop + box.clientHeight) box.scrollTop = top - box.clientHeight / 2;
    if (open) {
      panel.hidden = false;
      document.documentElement.classList.add("has-panel");
    }
    show();
    if (open && !wide.matches) span.scrollIntoView({ block: "nearest" });
    [before, chosen].forEach((one) => one && trace(document.querySelector(`[data-trace="${one.text}"]`)));
  }

  function rove(box, span) {
    box.querySelectorAll('[tabindex="0"]').forEach((one) => { one.tabIndex = -1; });
    span.tabIndex = 0;
  }

  function close() {
    panel.hidden = true;
    document.documentElement.classList.remove("has-panel");
    if (chosen) boxes[chosen.text].children[chosen.index].focus();
  }

  function tell(event, text, index) {
    tip.textContent = describe(text, index);
    tip.hidden = event.pointerType === "touch";
    const [x, y] = [event.clientX, event.clientY];
    tip.style.left = `${Math.max(4, Math.min(x + 12, window.innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${y + 18 + tip.offsetHeight > window.innerHeight ? y - tip.offsetHeight - 10 : y + 18}px`;
  }

  const STEPS = { ArrowRight: 1, ArrowDown: 10, ArrowLeft: -1, ArrowUp: -10, Home: -Infinity, End: Infinity };

  boxes.forEach((box) => {
    const text = Number(box.dataset.text);
    build(box);
    const at = (event) => event.target.closest(".t");
    box.addEventListener("click", (event) => at(event) && choose(text, Number(at(event).dataset.index), true));
    box.addEventListener("pointermove", (event) => { if (at(event)) tell(event, text, Number(at(event).dataset.index)); });
    box.addEventListener("pointerleave", () => { tip.hidden = true; });
    box.addEventListener("keydown", (event) => {
      const span = at(event);
      if (!span) return;
      const index = Number(span.dataset.index);
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        choose(text, index, true);
      } else if (event.key in STEPS) {
        event.preventDefault();
        const next = box.children[Math.max(0, Math.min(box.children.length - 1, index + STEPS[event.key]))];
        rove(box, next);
        next.focus();
      }
    });
  });
  document.querySelectorAll('[name="measure"]').forEach((input) => {
    input.addEventListener("change", () => { measure = input.value; paint(); });
  });
  sliders.forEach((slider) => slider.addEventListener("input", show));
  byId("reset").addEventListener("click", () => {
    [1, most, 1, 0].forEach((start, k) => { sliders[k].value = start; });
    show();
  });
  byId("close").addEventListener("click", close);
  byId("all").addEventListener("click", () => {
    const all = byId("bars").classList.toggle("all");
    byId("all").textContent = all ? "Show fewer" : "Show all";
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !wide.matches && !panel.hidden) close();
  });
  let waiting = 0;
  window.addEventListener("resize", () => {
    window.cancelAnimationFrame(waiting);
    waiting = window.requestAnimationFrame(() => document.querySelectorAll("[data-trace]").forEach(trace));
  });

  byId("measure").hidden = false;
  paint();
  sliders.forEach((slider) => {
    const given = new RegExp(`[#&]${slider.id}=([0-9.]+)`).exec(window.location.hash);
    if (given) slider.value = given[1];
  });
  const asked = /token=(\d+)(?:,(\d+))?/.exec(window.location.hash);
  if (asked) {
    choose(Number(asked[2] || 0), Number(asked[1]), true);
  } else {
    openAtStart();
    wide.addEventListener("change", openAtStart); // a frame of a notebook has no width yet
  }

  // Where there is room beside the text, the most open choice is shown from the start.
  function openAtStart() {
    if (chosen || !wide.matches || !boxes.length) return;
    const own = data.texts[0];
    const start = own.entropy.slice(0, own.t.length - 1).reduce((best, one, at, all) => (
      !own.g[at + 1] && (best === null || one > all[best]) ? at : best
    ), null);
    choose(0, start === null ? 1 : start + 1, true);
  }
})();
