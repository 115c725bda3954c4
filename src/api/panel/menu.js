// The three-lines menu: one list of commands beside the button that opened it. Owns its keys (arrows, Home, End, Escape,
// first letters) and gives the focus back to the button.

import { el } from "./dom.js";

let open = null;

/** A button that opens a menu; `items()` gives `[{ text, run, bad, href }]` at that moment. */
export function menuButton(props, label, items) {
  const button = el(
    "button",
    { type: "button", class: "icon-button menu-button", "aria-haspopup": "menu", "aria-expanded": "false", ...props },
    label,
  );
  button.addEventListener("click", () => (open?.button === button ? close(true) : show(button, items(), 0)));
  button.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    event.preventDefault();
    show(button, items(), event.key === "ArrowDown" ? 0 : -1);
  });
  return button;
}

function show(button, items, first) {
  close(false);
  const entries = items.map(({ text, run, bad, href }) => {
    const props = { role: "menuitem", tabindex: "-1", class: bad ? "menu-item bad" : "menu-item" };
    if (href) return el("a", { ...props, href, target: "_blank", rel: "noopener", on: { click: () => close(false) } }, text);
    const chosen = () => {
      close(true);
      run(button);
    };
    return el("button", { ...props, type: "button", on: { click: chosen } }, text);
  });
  const node = el("div", { class: "menu", role: "menu", "aria-label": button.getAttribute("aria-label") }, entries);
  node.addEventListener("keydown", (event) => steer(event, entries));
  document.body.append(node);
  open = { button, node };
  button.setAttribute("aria-expanded", "true");
  place(button, node);
  entries.at(first)?.focus();
}

function place(button, node) {
  const at = button.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = node;
  const left = Math.max(8, Math.min(at.left, innerWidth - width - 8));
  const below = at.bottom + 4 + height <= innerHeight;
  node.style.left = `${left}px`;
  node.style.top = `${below ? at.bottom + 4 : Math.max(8, at.top - height - 4)}px`;
}

function steer(event, entries) {
  const now = entries.indexOf(document.activeElement);
  const go = (to) => {
    event.preventDefault();
    entries[(to + entries.length) % entries.length].focus();
  };
  if (event.key === "ArrowDown") return go(now + 1);
  if (event.key === "ArrowUp") return go(now - 1);
  if (event.key === "Home") return go(0);
  if (event.key === "End") return go(entries.length - 1);
  if (event.key === "Escape") {
    event.preventDefault();
    event.stopPropagation();
    return close(true);
  }
  if (event.key === "Tab") return close(true);
  if (event.key.length === 1 && event.key !== " ") {
    const letter = event.key.toLowerCase();
    const order = entries.slice(now + 1).concat(entries.slice(0, now + 1));
    const found = order.find((entry) => entry.textContent.toLowerCase().startsWith(letter));
    if (found) go(entries.indexOf(found));
  }
  return undefined;
}

function close(focus) {
  if (!open) return;
  const { button, node } = open;
  open = null;
  node.remove();
  button.setAttribute("aria-expanded", "false");
  if (focus && button.isConnected) button.focus();
}

addEventListener("pointerdown", (event) => {
  if (open && !open.node.contains(event.target) && !open.button.contains(event.target)) close(false);
});
addEventListener("resize", () => close(false));
addEventListener("scroll", (event) => !open?.node.contains(event.target) && close(false), { capture: true, passive: true });
