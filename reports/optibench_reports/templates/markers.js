"use strict";
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
