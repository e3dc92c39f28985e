"use strict";
// The anytime curves: an SVG drawn from the page's JSON. A curve is a step function: what holds after trial n holds
// until trial n + 1, nothing is interpolated.

(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { optimizers, views } = data;
  const { svg, colour, format, mark, line, scale, ticks, label } = drawing;
  const get = (id) => document.getElementById(id);
  const plot = get("plot");
  const shown = optimizers.map(() => true);
  const margin = { left: 56, right: 14, top: 12, bottom: 40 };
  let view = views[0];
  let counts = [];
  let at = 0;
  let draw = null;
  let strong = null; // the optimizer that the list points at: its band is drawn, the others step back

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

  drawing.legend(get("legend"), optimizers, shown, [get("all"), get("none")], () => render(), (o) => {
    strong = o;
    render();
  });

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
