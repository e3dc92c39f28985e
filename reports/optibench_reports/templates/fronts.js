"use strict";
// Pareto fronts on tasks with two objectives: the trials that no other dominates, and what half of the seeds attain.

(() => {
  const { optimizers, fronts } = JSON.parse(document.getElementById("data").textContent);
  const { svg, colour, mark, line, scale, ticks, label, legend } = drawing;
  const get = (id) => document.getElementById(id);
  const plot = get("front-plot");
  const shown = optimizers.map(() => true);
  const margin = { left: 64, right: 14, top: 12, bottom: 40 };
  const near = 30; // pixels within which the pointer chooses a trial
  let item = fronts[0];
  let marks = [];
  let chosen = -1;
  let strong = null; // the optimizer that the list points at
  let size = { width: 0, height: 0 };

  const number = (x) => String(+x.toPrecision(4));
  const axis = (values, from, to, logarithmic) => {
    let [low, high] = [Math.min(...values), Math.max(...values)];
    const log = logarithmic && low > 0;
    const room = log ? (high / low || 1) ** 0.05 : (high - low || Math.abs(high) || 1) * 0.05;
    [low, high] = log ? [low / room, high * room] : [low - room, high + room];
    return { place: scale(low, high, from, to, log), ticks: ticks(low, high, 6, log) };
  };

  const render = () => {
    const width = Math.max(280, plot.clientWidth || 640);
    const height = Math.round(Math.min(480, Math.max(300, width * 0.62)));
    const active = optimizers.map((_, o) => o).filter((o) => shown[o] && item.runs[o]);
    const points = [...item.front, ...active.flatMap((o) => [...item.runs[o].points, ...item.runs[o].surface])];
    const values = (at) => (points.length ? points.map((point) => point[at]) : [0, 1]);
    const x = axis(values(0), margin.left, width - margin.right, get("front-log-x").checked);
    const y = axis(values(1), height - margin.bottom, margin.top, get("front-log-y").checked);
    size = { width, height };
    plot.replaceChildren();
    plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
    plot.setAttribute("height", height);
    plot.setAttribute("aria-label", `${item.objectives.join(" and ")} on ${item.task}: ${active.length} fronts`);
    for (const tick of y.ticks) {
      const at = y.place(tick);
      svg("line", { class: "grid", x1: margin.left, x2: width - margin.right, y1: at, y2: at }, plot);
      svg("text", { x: margin.left - 6, y: at + 4, "text-anchor": "end" }, plot).textContent = label(tick);
    }
    for (const tick of x.ticks) {
      const at = x.place(tick);
      svg("line", { class: "grid", x1: at, x2: at, y1: margin.top, y2: height - margin.bottom }, plot);
      svg("text", { x: at, y: height - margin.bottom + 16, "text-anchor": "middle" }, plot).textContent = label(tick);
    }
    const middle = { x: (margin.left + width) / 2, y: height - 6, "text-anchor": "middle" };
    svg("text", middle, plot).textContent = item.objectives[0];
    const side = `translate(12,${(height - margin.bottom) / 2}) rotate(-90)`;
    svg("text", { transform: side, "text-anchor": "middle" }, plot).textContent = item.objectives[1];
    const place = ([a, b]) => [x.place(a).toFixed(1), y.place(b).toFixed(1)];
    for (const point of item.front) {
      const [a, b] = place(point);
      svg("path", { class: "cross", d: "M-3,0H3M0,-3V3", transform: `translate(${a},${b})` }, plot);
    }
    marks = [];
    const order = active.filter((o) => o !== strong).reverse(); // the best lies on top, or the one pointed at
    for (const o of active.includes(strong) ? [...order, strong] : order) {
      const layer = svg("g", active.includes(strong) && o !== strong ? { opacity: 0.2 } : {}, plot);
      const [first, ...rest] = item.runs[o].surface.map(place);
      if (first) line(optimizers[o], `M${first}${rest.map(([a, b]) => `H${a}V${b}`).join("")}`, layer);
      for (const point of item.runs[o].points) {
        const [a, b] = place(point);
        mark(optimizers[o], a, b, layer);
        marks.push({ o, point, x: Number(a), y: Number(b) });
      }
    }
    marks.sort((a, b) => a.x - b.x || a.y - b.y);
    [...get("front-legend").children].forEach((entry, o) => {
      const count = item.runs[o]?.points.length ?? 0;
      entry.querySelector(".value").textContent = count ? `${count} ${count === 1 ? "trial" : "trials"}` : "—";
    });
    choose(-1);
  };

  /** Say what a trial reached, and ring its mark. */
  const choose = (index) => {
    chosen = index;
    plot.querySelector(".ring")?.remove();
    const found = marks[index];
    if (!found) {
      get("front-point").textContent = "Point at a mark, or press the arrow keys, to see its trial.";
      return;
    }
    const [a, b, seed, trial] = found.point;
    const ring = svg("circle", { class: "ring", cx: found.x, cy: found.y, r: 8 }, plot);
    ring.style.stroke = colour(optimizers[found.o]);
    const reached = `${item.objectives[0]} ${number(a)}, ${item.objectives[1]} ${number(b)}`;
    get("front-point").textContent = `${optimizers[found.o].name}, seed ${seed}, trial ${trial}: ${reached}`;
  };

  legend(get("front-legend"), optimizers, shown, [get("front-all"), get("front-none")], render, (o) => {
    strong = o;
    render();
  });
  fronts.forEach(({ task }, index) => get("front-task").append(new Option(task, index)));
  get("front-task").addEventListener("change", () => {
    item = fronts[Number(get("front-task").value)];
    render();
  });
  for (const id of ["front-log-x", "front-log-y"]) get(id).addEventListener("change", render);
  plot.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect();
    const [a, b] = [event.clientX - box.left, event.clientY - box.top].map((at) => (at / box.width) * size.width);
    const distances = marks.map((found) => Math.hypot(found.x - a, found.y - b));
    const closest = distances.indexOf(Math.min(...distances));
    const index = distances[closest] < near ? closest : -1;
    if (index !== chosen) choose(index);
  });
  plot.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step || !marks.length) return;
    event.preventDefault();
    choose((chosen + step + marks.length + (chosen < 0 && step < 0 ? 1 : 0)) % marks.length);
  });
  get("front-chart").hidden = false;
  new ResizeObserver(() => {
    if (Math.abs(plot.clientWidth - size.width) > 1) render();
  }).observe(plot.parentElement);
  render();
})();
