// Building and changing the page. Owns element creation and the one rendering per animation frame.
// Every text goes in as a text node: there is no way here to make markup out of a string.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    } else if (name === "data") {
      Object.assign(node.dataset, value);
    } else if (name === "value" || name === "checked") {
      node[name] = value;
    } else {
      node.setAttribute(name, value === true ? "" : value);
    }
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** An element: attributes by their names, `on` for listeners, `data` for data attributes; strings become text. */
export function el(tag, props, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** The same of SVG. */
export function svg(tag, props, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

/** A picture of one path, 16 × 16. */
export function icon(path, props) {
  return svg(
    "svg",
    { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true", class: "icon", ...props },
    svg("path", { d: path }),
  );
}

/** Changes a text only where it differs: an unchanged node costs no layout. */
export function setText(node, text) {
  const wanted = text ?? "";
  if (node.textContent !== wanted) node.textContent = wanted;
}

export function setAttribute(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
    return;
  }
  const wanted = value === true ? "" : String(value);
  if (node.getAttribute(name) !== wanted) node.setAttribute(name, wanted);
}

export function setHidden(node, hidden) {
  if (node.hidden !== hidden) node.hidden = hidden;
}

/** A button that can't be pressed now. It keeps the focus, which a disabled one loses. */
export function setOff(button, off) {
  setAttribute(button, "aria-disabled", off ? "true" : null);
}

export const isOff = (button) => button.getAttribute("aria-disabled") === "true";

/**
 * Puts `nodes` into `parent` in this order, moving only those that stand elsewhere, and never the one with the focus:
 * an element that is moved loses it, and with it what is being typed.
 */
export function arrange(parent, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  const held = [...parent.children].find((child) => child.contains(document.activeElement));
  let next = parent.firstElementChild;
  for (const node of nodes) {
    // What stands before the held one and belongs behind it makes room.
    while (node === held && next !== held) {
      const aside = next;
      next = next.nextElementSibling;
      parent.append(aside);
    }
    if (node === next) next = next.nextElementSibling;
    else parent.insertBefore(node, next);
  }
}

const waiting = new Set();
let asked = false;

/** Runs `render` once in the next animation frame, however often it is asked for before. */
export function render(task) {
  waiting.add(task);
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    const tasks = [...waiting];
    waiting.clear();
    for (const each of tasks) {
      try {
        each();
      } catch (error) {
        // What one of them can't show is no reason for the others to stand still.
        reportError(error);
      }
    }
  });
}

let ids = 0;

/** An id for labels that no other element has. */
export function freshId(prefix) {
  ids += 1;
  return `${prefix}-${ids}`;
}
