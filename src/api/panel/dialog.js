// Dialogs, questions and short messages. Owns the native <dialog>s, the list of messages and the live regions that read
// them out; knows no stream.
//
// The hard thing is that all behind a modal dialog is inert: what is shown or read out while one is open has to be in
// it. So each dialog has live regions and a line for the connection of its own, and the messages move from one to the
// next and never go with it.

import { el, freshId, icon, setHidden, setText } from "./dom.js";
import { words } from "./words.js";

const CROSS = "M3.5 2.4 8 6.9l4.5-4.5 1.1 1.1L9.1 8l4.5 4.5-1.1 1.1L8 9.1l-4.5 4.5-1.1-1.1L6.9 8 2.4 3.5Z";

/** How long a message stays. */
const MESSAGE_MS = 6_000;
/** Within this time a removal is taken back. */
export const UNDO_MS = 5_000;

const messages = el("div", { class: "messages" });

/** The regions of the page itself, then of each dialog that is open, the topmost last. */
const places = [];

function place(node) {
  const polite = el("p", { class: "visually-hidden", role: "status" });
  const alert = el("p", { class: "visually-hidden", role: "alert" });
  node.append(polite, alert);
  const made = { node, polite, alert, notice: null };
  places.push(made);
  made.node.append(messages);
  return made;
}

/** Puts the live regions into the page: they have to be there before anything is said. */
export function begin(parent) {
  place(parent);
}

let notice = null;

/** What every dialog says above its content, or null: the page's own banner is not seen behind it. */
export function setNotice(text) {
  notice = text;
  for (const { notice: line } of places) if (line) showNotice(line);
}

function showNotice(line) {
  setHidden(line, notice === null);
  setText(line, notice);
}

/** Opens a dialog; Escape and the cross close it, and the focus goes back to where it was. `closed` runs once. */
export function openDialog({ title, subtitle, wide, name, closed }, ...content) {
  const id = freshId("dialog");
  const opener = document.activeElement;
  const cross = el(
    "button",
    { type: "button", class: "icon-button", "aria-label": words.close, on: { click: () => node.close() } },
    icon(CROSS),
  );
  const line = el("p", { class: "dialog-notice", hidden: true });
  const node = el(
    "dialog",
    { class: wide ? "dialog wide" : "dialog", "aria-labelledby": id, data: { name } },
    el(
      "header",
      { class: "dialog-head" },
      el("div", {}, el("h2", { id, tabindex: "-1" }, title), subtitle ? el("p", { class: "muted" }, subtitle) : null),
      cross,
    ),
    line,
    ...content,
  );
  const own = place(node);
  own.notice = line;
  showNotice(line);
  node.addEventListener("close", () => {
    places.splice(places.indexOf(own), 1);
    places.at(-1).node.append(messages);
    node.remove();
    if (opener?.isConnected) opener.focus();
    closed?.();
  });
  document.body.append(node);
  node.showModal();
  return node;
}

/** Asks; true when it is to be done. The safe answer has the focus. `which` names what it is about, beyond its name. */
export function ask({ title, which, text, yes }) {
  return new Promise((answer) => {
    let done = false;
    const accept = () => {
      done = true;
      node.close();
    };
    const no = el("button", { type: "button", class: "button", on: { click: () => node.close() } }, words.cancel);
    const node = openDialog(
      { title, subtitle: which, name: "confirm", closed: () => answer(done) },
      el("p", { class: "dialog-text" }, text),
      el(
        "footer",
        { class: "dialog-foot" },
        no,
        el("button", { type: "button", class: "button bad", on: { click: accept } }, yes),
      ),
    );
    no.focus();
  });
}

/** Reads a text out without showing it. */
export function announce(text, urgent = false) {
  // A dialog is closed some moments before it says so.
  const { alert, polite } = places.findLast(({ node }) => node.open ?? true);
  const region = urgent ? alert : polite;
  // The same again is no change, and would not be read.
  region.textContent = region.textContent === text ? `${text}\u00a0` : text;
}

function show(text, { bad = false, ms = MESSAGE_MS, action = null } = {}) {
  announce(text, bad);
  const remove = () => {
    clearTimeout(timer);
    const focused = node.contains(document.activeElement);
    node.remove();
    if (focused) action?.lost?.();
  };
  const button = action ? el("button", { type: "button", class: "button small", on: { click: action.run } }, action.text) : null;
  const cross = bad ? el("button", { type: "button", class: "icon-button", "aria-label": words.close, on: { click: remove } }, icon(CROSS)) : null;
  const node = el("div", { class: bad ? "message bad" : "message" }, el("span", {}, text), button, cross);
  messages.append(node);
  if (action?.focus) button.focus();
  const timer = bad ? null : setTimeout(remove, ms);
  return remove;
}

export const tell = (text) => show(text);
/** A refusal, of what has this name: stays until it is closed. */
export const complain = (refusal, name) => {
  const text = refusal.message ?? String(refusal);
  return show(name ? `${name}: ${text}` : text, { bad: true });
};

/**
 * Does `finish` after five seconds, or when the page goes; `back` instead when it is taken back. With `focus` the button
 * has the focus, and `lost` is called when it goes with it.
 */
export function undoable(text, { finish, back, focus, lost }) {
  let over = false;
  const end = (then) => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    removeEventListener("pagehide", gone);
    remove();
    then();
  };
  const gone = () => end(() => finish(true));
  const timer = setTimeout(() => end(() => finish(false)), UNDO_MS);
  addEventListener("pagehide", gone);
  const action = { text: words.undo, run: () => end(back), focus, lost };
  const remove = show(text, { ms: UNDO_MS * 2, action });
}
