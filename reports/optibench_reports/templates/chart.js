"use strict";
// The anytime curves: an SVG drawn from the page's JSON. A curve is a step function: what holds after trial n holds
// until trial n + 1, nothing is interpolated.

(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { optimizers, views } = data;
  const get = (id) => document.getElementById(id);
  const plot = get("plot");
  const shown = optimizers.map(() => true);
  const margin = { left: 56, right: 14, top: 12, bottom: 40 };
  let view = views[0];
  let counts = [];
  let at = 0;
  let draw = null;
  let strong = null; // the optimizer that the list points at: its band is drawn, the others step back

  const svg = (name, attributes = {}, parent = null) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    parent?.append(element);
    return element;
  };
  const colour = (optimizer) => `light-dark(${optimizer.light}, ${optimizer.dark})`;

  const format = (x) => {
    if (x === null || x === undefined) return "—";
    const size = Math.abs(x);
    if (size !== 0 && (size < 5e-4 || size >= 1e5)) return x.toExponential(1);
    return x.toFixed(size === 0 ? 0 : size < 0.1 ? 4 : size < 1 ? 3 : size < 10 ? 2 : 1);
  };

  const mark = (optimizer, x, y, parent) => {
    const turn = optimizer.marker === "X" ? " rotate(45)" : "";
    const path = svg("path", { d: markers[optimizer.marker](), transform: `translate(${x},${y})${turn}` }, parent);
    path.style.fill = colour(optimizer);
    path.style.stroke = "var(--ground)";
    path.style.strokeWidth = 0.8;
  };
  const line = (optimizer, d, parent) => {
    const path = svg("path", { d, fill: "none", "stroke-width": 2, "stroke-linejoin": "round", class: "curve" }, parent);
    if (optimizer.dash) path.setAttribute("stroke-dasharray", optimizer.dash.map((x) => x * 2).join(" "));
    path.style.stroke = colour(optimizer);
  };

  const scale = (low, high, from, to, logarithmic) => {
    const f = logarithmic ? Math.log10 : (x) => x;
    const [a, b] = [f(low), f(high)];
    return (x) => from + ((f(x) - a) / (b - a || 1)) * (to - from);
  };
  const ticks = (low, high, most, logarithmic, whole = false) => {
    if (logarithmic) {
      const decades = Math.log10(high / low);
      const steps = decades > 2.5 ? [1] : decades > 0.9 ? [1, 2, 5] : [1, 2, 3, 4, 5, 6, 7, 8, 9];
      const found = [];
      for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
        for (const s of steps) if (s * 10 ** e >= low * 0.999 && s * 10 ** e <= high * 1.001) found.push(s * 10 ** e);
      const every = Math.ceil(found.length / most);
      return found.filter((_, i) => i % every === 0);
    }
    const raw = (high - low) / most || 1;
    const base = 10 ** Math.floor(Math.log10(raw));
    const step = Math.max(whole ? 1 : 0, base * [1, 2, 5, 10].find((s) => s * base >= raw * 0.999));
    const first = Math.ceil(low / step - 1e-9);
    return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => (first + i) * step);
  };
  const label = (x) => (Math.abs(x) >= 1e5 || (x && Math.abs(x) < 1e-3) ? x.toExponential(0) : String(+x.toPrecision(3)));

  const series = () => view[get("quantity").value];
  const everyOne = (values) => values.flat().filter((x) => x !== null);

  const render = () => {
    const width = Math.max(280, plot.clientWidth || 640);
    const height = Math.round(Math.min(460, Math.max(280, width * 0.56)));
    const { middle, low, high } = series();
    const isRank = get("quantity").value === "rank";
    const banded = get("bands").checked && low && high;
    const active = optimizers.map((_, o) => o).filter((o) => shown[o] && middle[o].some((y) => y !== null));
    const values = everyOne(active.flatMap((o) => (banded ? [middle[o], low[o], high[o]] : [middle[o]])));
    const middles = everyOne(active.map((o) => middle[o]));
    const positive = middles.filter((y) => y > 0);
    const logY = !isRank && get("log-y").checked && positive.length > 0;
    const floor = logY ? positive.reduce((a, b) => Math.min(a, b)) / 1.5 : -Infinity;
    let bottom = values.length ? values.reduce((a, b) => Math.min(a, b)) : 0;
    let top = values.length ? values.reduce((a, b) => Math.max(a, b)) : 1;
    if (logY) [bottom, top] = [floor, Math.max(top, floor * 2) * 1.05];
    else if (isRank) [bottom, top] = [Math.min(bottom, 1), Math.max(top, 2)];
    else [bottom, top] = [Math.min(0, bottom), top * 1.03 || 1];
    const last = counts[counts.length - 1];
    const start = get("log-x").checked ? counts[0] : Math.min(counts[0], 1);
    const x = scale(start, Math.max(last, start + 1), margin.left, width - margin.right, get("log-x").checked);
    const edges = isRank ? [margin.top, height - margin.bottom] : [height - margin.bottom, margin.top];
    const y = scale(bottom, top, ...edges, logY);
    const place = (value) => y(Math.max(value, floor)).toFixed(1);

    plot.replaceChildren();
    plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
    plot.setAttribute("height", height);
    const words = isRank ? "mean rank" : view.unit;
    plot.setAttribute("aria-label", `${words} after each trial, ${view.label}: ${active.length} curves`);
    for (const tick of ticks(bottom, top, 7, logY, isRank)) {
      svg("line", { class: "grid", x1: margin.left, x2: width - margin.right, y1: y(tick), y2: y(tick) }, plot);
      const text = svg("text", { x: margin.left - 6, y: y(tick) + 4, "text-anchor": "end" }, plot);
      text.textContent = label(tick);
    }
    for (const tick of ticks(start, last, Math.min(10, width / 70), get("log-x").checked, true)) {
      svg("line", { class: "grid", x1: x(tick), x2: x(tick), y1: margin.top, y2: height - margin.bottom }, plot);
      const text = svg("text", { x: x(tick), y: height - margin.bottom + 16, "text-anchor": "middle" }, plot);
      text.textContent = label(tick);
    }
    const axis = svg("text", { x: (margin.left + width) / 2, y: height - 6, "text-anchor": "middle" }, plot);
    axis.textContent = "trials";
    const side = `translate(12,${(height - margin.bottom) / 2}) rotate(-90)`;
    svg("text", { transform: side, "text-anchor": "middle" }, plot).textContent = words;
    for (const count of view.breaks ?? [])
      svg("line", { class: "break", x1: x(count), x2: x(count), y1: margin.top, y2: height - margin.bottom }, plot);

    // Runs of trials without a gap, [first, after last): a curve is not drawn where an optimizer is not compared.
    const runs = (ys) => {
      const found = [];
      ys.forEach((value, g) => {
        if (value === null) return;
        if (found.length && found[found.length - 1][1] === g) found[found.length - 1][1] = g + 1;
        else found.push([g, g + 1]);
      });
      return found;
    };
    const steps = (ys, [first, end]) => {
      const points = [];
      for (let g = first; g < end; g++) {
        points.push(`${x(counts[g]).toFixed(1)},${place(ys[g])}`);
        if (g + 1 < end) points.push(`${x(counts[g + 1]).toFixed(1)},${place(ys[g])}`);
      }
      return points;
    };
    const frame = svg("clipPath", { id: "frame" }, plot);
    svg("rect", { x: 0, y: margin.top, width, height: height - margin.top - margin.bottom }, frame);
    const emphasis = active.includes(strong);
    const framed = low && high ? (emphasis ? [strong] : banded ? active : []) : [];
    for (const o of framed) {
      const areas = runs(middle[o]).map((run) => [...steps(low[o], run), ...steps(high[o], run).reverse()].join("L"));
      const d = areas.map((points) => `M${points}Z`).join("");
      const area = svg("path", { d, class: "band", "fill-opacity": 0.12, "clip-path": "url(#frame)" }, plot);
      area.style.fill = colour(optimizers[o]);
    }
    const every = Math.max(1, Math.floor(counts.length / 6));
    // The best lies on top, or the one pointed at.
    const order = active.filter((o) => o !== strong).reverse();
    for (const o of emphasis ? [...order, strong] : order) {
      const layer = svg("g", emphasis && o !== strong ? { opacity: 0.3 } : {}, plot);
      line(optimizers[o], runs(middle[o]).map((run) => `M${steps(middle[o], run).join("L")}`).join(""), layer);
      const offset = Math.floor((o * every) / optimizers.length);
      middle[o].forEach((value, g) => {
        if (value !== null && g % every === offset) mark(optimizers[o], x(counts[g]).toFixed(1), place(value), layer);
      });
    }
    const cursor = svg("g", {}, plot);
    draw = { x, place, cursor, active, middle, height, width };
    point();
  };

  /** Show the values at the chosen trial: in the list, and as a line with dots in the plot. */
  const point = () => {
    const { middle, low, high } = series();
    get("at").textContent = `${counts[at]} ${counts[at] === 1 ? "trial" : "trials"}`;
    get("trial").setAttribute("aria-valuetext", get("at").textContent);
    [...get("legend").children].forEach((item, o) => {
      const known = middle[o][at] ?? null;
      const range = known !== null && low && high ? ` [${format(low[o][at])}, ${format(high[o][at])}]` : "";
      item.querySelector(".value").textContent = `${format(known)}${range}`;
    });
    const { x, place, cursor, active, height } = draw;
    cursor.replaceChildren();
    const where = x(counts[at]).toFixed(1);
    svg("line", { class: "cursor", x1: where, x2: where, y1: margin.top, y2: height - margin.bottom }, cursor);
    for (const o of active) {
      if (middle[o][at] === null) continue;
      const dot = svg("circle", { cx: where, cy: place(middle[o][at]), r: 3.5 }, cursor);
      dot.style.fill = colour(optimizers[o]);
    }
  };

  const choose = (index) => {
    at = Math.max(0, Math.min(counts.length - 1, index));
    get("trial").value = at;
    point();
  };

  const change = () => {
    const before = counts.length ? counts[at] : data.headline;
    view = views[Number(get("view").value)];
    counts = data.counts[view.counts];
    const quantity = get("quantity");
    for (const option of quantity.options) option.disabled = !view[option.value];
    if (!view[quantity.value]) quantity.value = view.regret ? "regret" : "rank";
    get("trial").max = counts.length - 1;
    const later = counts.findIndex((count) => count > before);
    at = later < 0 ? counts.length - 1 : Math.max(0, later - 1);
    get("trial").value = at;
    get("about").textContent = view.about;
    render();
  };

  // The choice of tasks: everything, families, single tasks; the field beside it leaves out what does not match.
  const kinds = { all: "Everything", family: "Families", task: "Tasks, mean over seeds" };
  const options = () => {
    const wanted = get("find").value.toLowerCase();
    const before = get("view").value;
    get("view").replaceChildren();
    for (const [kind, title] of Object.entries(kinds)) {
      const group = document.createElement("optgroup");
      group.label = title;
      views.forEach((item, index) => {
        if (item.kind === kind && item.label.toLowerCase().includes(wanted)) group.append(new Option(item.label, index));
      });
      if (group.children.length) get("view").append(group);
    }
    if (!get("view").options.length) get("view").append(new Option("nothing of that name", views.indexOf(view)));
    if ([...get("view").options].some((option) => option.value === before)) get("view").value = before;
    change();
  };

  optimizers.forEach((optimizer, o) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", "true");
    const swatch = svg("svg", { viewBox: "0 0 46 16", "aria-hidden": "true" });
    line(optimizer, "M1,8H45", swatch);
    mark(optimizer, 23, 8, swatch);
    const name = document.createElement("span");
    const value = document.createElement("span");
    name.className = "name";
    value.className = "value";
    name.textContent = optimizer.name;
    button.append(swatch, name, value);
    button.addEventListener("click", () => {
      shown[o] = !shown[o];
      button.setAttribute("aria-pressed", String(shown[o]));
      render();
    });
    const aim = (to) => () => {
      strong = to;
      render();
    };
    for (const kind of ["pointerenter", "focus"]) button.addEventListener(kind, aim(o));
    for (const kind of ["pointerleave", "blur"]) button.addEventListener(kind, aim(null));
    item.append(button);
    get("legend").append(item);
  });
  const everybody = (state) => () => {
    shown.fill(state);
    for (const button of get("legend").querySelectorAll("button")) button.setAttribute("aria-pressed", String(state));
    render();
  };
  get("all").addEventListener("click", everybody(true));
  get("none").addEventListener("click", everybody(false));

  get("chart").hidden = false;
  get("bands").checked = optimizers.length <= 5; // more of them hide each other
  for (const id of ["view", "quantity"]) get(id).addEventListener("change", change);
  for (const id of ["log-y", "log-x", "bands"]) get(id).addEventListener("change", render);
  get("find").addEventListener("input", options);
  get("trial").addEventListener("input", () => choose(Number(get("trial").value)));
  plot.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect();
    const where = ((event.clientX - box.left) / box.width) * draw.width;
    // The last trial count at or before the pointer: its value holds here.
    let index = counts.length - 1;
    while (index > 0 && draw.x(counts[index]) > where) index--;
    if (index !== at) choose(index);
  });
  new ResizeObserver(() => {
    if (draw && Math.abs(plot.clientWidth - draw.width) > 1) render();
  }).observe(plot.parentElement);
  options();
  document.documentElement.dataset.ready = Math.round(performance.now());
})();
