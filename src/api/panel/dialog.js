// Dialogs, questions and short messages. Owns the native <dialog>s, the list of messages and the live regions that read
// them out; knows no stream.

import { el, freshId, icon } from "./dom.js";
import { words } from "./words.js";

const CROSS = "M3.5 2.4 8 6.9l4.5-4.5 1.1 1.1L9.1 8l4.5 4.5-1.1 1.1L8 9.1l-4.5 4.5-1.1-1.1L6.9 8 2.4 3.5Z";

/** How long a message stays. */
const MESSAGE_MS = 6_000;
/** Within this time a removal is taken back. */
export const UNDO_MS = 5_000;

/** Opens a dialog; Escape and the cross close it, and the focus goes back to where it was. `closed` runs once. */
export function openDialog({ title, subtitle, wide, name, closed }, ...content) {
  const id = freshId("dialog");
  const opener = document.activeElement;
  const cross = el(
    "button",
    { type: "button", class: "icon-button", "aria-label": words.close, on: { click: () => node.close() } },
    icon(CROSS),
  );
  const node = el(
    "dialog",
    { class: wide ? "dialog wide" : "dialog", "aria-labelledby": id, data: { name } },
    el(
      "header",
      { class: "dialog-head" },
      el("div", {}, el("h2", { id, tabindex: "-1" }, title), subtitle ? el("p", { class: "muted" }, subtitle) : null),
      cross,
    ),
    ...content,
  );
  node.addEventListener("close", () => {
    node.remove();
    if (opener?.isConnected) opener.focus();
    closed?.();
  });
  document.body.append(node);
  node.showModal();
  return node;
}

/** Asks; true when it is to be done. The safe answer has the focus. */
export function ask({ title, text, yes }) {
  return new Promise((answer) => {
    let done = false;
    const accept = () => {
      done = true;
      node.close();
    };
    const no = el("button", { type: "button", class: "button", on: { click: () => node.close() } }, words.cancel);
    const node = openDialog(
      { title, name: "confirm", closed: () => answer(done) },
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

const messages = el("div", { class: "messages" });
const polite = el("p", { class: "visually-hidden", role: "status" });
const alert = el("p", { class: "visually-hidden", role: "alert" });

/** Puts the live regions into the page: they have to be there before anything is said. */
export function begin(parent) {
  parent.append(polite, alert, messages);
}

/** Reads a text out without showing it. */
export function announce(text, urgent = false) {
  (urgent ? alert : polite).textContent = text;
}

/** Where messages are seen: in the topmost dialog, since all else is behind it. */
function place() {
  const dialogs = document.querySelectorAll("dialog[open]");
  (dialogs[dialogs.length - 1] ?? document.body).append(messages);
}

function show(text, { bad = false, ms = MESSAGE_MS, action = null } = {}) {
  announce(text, bad);
  place();
  const remove = () => {
    clearTimeout(timer);
    // A dialog that closes takes the list with it.
    if (!messages.isConnected) document.body.append(messages);
    node.remove();
  };
  const node = el("div", { class: bad ? "message bad" : "message" }, el("span", {}, text));
  if (action) node.append(el("button", { type: "button", class: "button small", on: { click: () => action.run(remove) } }, action.text));
  if (bad) {
    node.append(el("button", { type: "button", class: "icon-button", "aria-label": words.close, on: { click: remove } }, icon(CROSS)));
  }
  messages.append(node);
  const timer = bad ? null : setTimeout(remove, ms);
  return remove;
}

export const tell = (text) => show(text);
/** A refusal: stays until it is closed. */
export const complain = (refusal) => show(refusal.message ?? String(refusal), { bad: true });

/** Does `finish` after five seconds, or when the page goes; `back` instead when it is taken back. */
export function undoable(text, { finish, back }) {
  let over = false;
  const end = (leaving) => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    removeEventListener("pagehide", gone);
    remove();
    finish(leaving);
  };
  const gone = () => end(true);
  const timer = setTimeout(() => end(false), UNDO_MS);
  addEventListener("pagehide", gone);
  const undo = () => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    removeEventListener("pagehide", gone);
    remove();
    back();
  };
  const remove = show(text, { ms: UNDO_MS * 2, action: { text: words.undo, run: undo } });
}

document.addEventListener("close", () => !messages.isConnected && document.body.append(messages), true);
