// Small graphs: one SVG path each, redrawn at most once a frame. Owns the drawing and nothing of what is drawn.

import { svg, setAttribute } from "./dom.js";

const HEIGHT = 24;

/**
 * A graph of `count` samples. `draw(history, now)` shows them: now at the right, the top at the largest value
 * or at `least`, whichever is more.
 */
export function graph({ count, least = 1, label }) {
  const line = svg("path", { class: "graph-line", "vector-effect": "non-scaling-stroke" });
  const area = svg("path", { class: "graph-area" });
  const node = svg(
    "svg",
    {
      class: "graph", viewBox: `0 0 ${count - 1} ${HEIGHT}`, preserveAspectRatio: "none",
      role: label ? "img" : null, "aria-label": label, "aria-hidden": label ? null : "true",
    },
    area,
    line,
  );
  const draw = (history, now) => {
    const samples = history ? history.last(count, now) : [];
    const top = Math.max(least, ...samples.filter((value) => !Number.isNaN(value)));
    let path = "";
    let filled = "";
    let begun = null;
    const close = (x) => {
      if (begun !== null) filled += `L${x} ${HEIGHT}L${begun} ${HEIGHT}Z`;
      begun = null;
    };
    samples.forEach((value, at) => {
      const x = count - samples.length + at;
      if (Number.isNaN(value)) {
        close(x - 1);
        return;
      }
      const y = (HEIGHT - 1 - (value / top) * (HEIGHT - 2)).toFixed(1);
      path += `${begun === null ? "M" : "L"}${x} ${y}`;
      filled += `${begun === null ? "M" : "L"}${x} ${y}`;
      if (begun === null) begun = x;
    });
    close(count - 1);
    setAttribute(line, "d", path);
    setAttribute(area, "d", filled);
  };
  return { node, draw };
}
