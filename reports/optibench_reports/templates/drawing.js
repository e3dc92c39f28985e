"use strict";
// What the charts share: SVG elements, scales, the optimizers' looks and a list of them that shows and hides.

const drawing = (() => {
  // Markers by matplotlib's letters, so that the page and the figures agree: the outline of each, about the origin.
  const markers = (() => {
    const polygon = (corners, turn, radius, inner = 0) => {
      const n = inner ? 2 * corners : corners;
      const point = (i) => {
        const r = inner && i % 2 ? inner * radius : radius;
        const angle = (2 * Math.PI * i) / n + turn - Math.PI / 2;
        return `${(r * Math.cos(angle)).toFixed(2)},${(r * Math.sin(angle)).toFixed(2)}`;
      };
      return `M${Array.from({ length: n }, (_, i) => point(i)).join("L")}Z`;
    };
    const cross = (r) => {
      const a = r * 0.4;
      return `M${-a},${-r}H${a}V${-a}H${r}V${a}H${a}V${r}H${-a}V${a}H${-r}V${-a}H${-a}Z`;
    };
    return {
      o: () => `M-4,0A4,4 0 1 1 4,0A4,4 0 1 1 -4,0Z`,
      s: () => polygon(4, Math.PI / 4, 5),
      D: () => polygon(4, 0, 5),
      d: () => "M0,-5.5L3.2,0L0,5.5L-3.2,0Z",
      "^": () => polygon(3, 0, 5),
      v: () => polygon(3, Math.PI, 5),
      "<": () => polygon(3, -Math.PI / 2, 5),
      ">": () => polygon(3, Math.PI / 2, 5),
      p: () => polygon(5, 0, 5),
      h: () => polygon(6, 0, 5),
      H: () => polygon(6, Math.PI / 6, 5),
      8: () => polygon(8, Math.PI / 8, 5),
      "*": () => polygon(5, 0, 6, 0.42),
      P: () => cross(4.6),
      X: () => cross(4.6),
    };
  })();

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

  /** Fill a list with a button for each optimizer, and connect the buttons that show and hide all. */
  const legend = (list, optimizers, shown, buttons, render, aim) => {
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
      for (const kind of ["pointerenter", "focus"]) button.addEventListener(kind, () => aim(o));
      for (const kind of ["pointerleave", "blur"]) button.addEventListener(kind, () => aim(null));
      item.append(button);
      list.append(item);
    });
    const everybody = (state) => () => {
      shown.fill(state);
      for (const button of list.querySelectorAll("button")) button.setAttribute("aria-pressed", String(state));
      render();
    };
    buttons.forEach((button, b) => button.addEventListener("click", everybody(b === 0)));
  };

  return { svg, colour, format, mark, line, scale, ticks, label, legend };
})();
