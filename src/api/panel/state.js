// How states look: a shape, a colour and a word each, so that no colour stands alone. Pure but for the shapes.

import { icon, setAttribute, setText, el } from "./dom.js";
import { words } from "./words.js";

const SHAPES = {
  // A filled disc, a half disc, a triangle, a cross, a ring, a bar.
  ok: "M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2Z",
  busy: "M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2ZM8 3.6v8.8a4.4 4.4 0 0 0 0-8.8Z",
  warn: "M8 1.6 15 14.2H1ZM7.2 6v4h1.6V6ZM7.2 11.2v1.6h1.6v-1.6Z",
  bad: "M4.2 2.4 8 6.2l3.8-3.8 1.8 1.8L9.8 8l3.8 3.8-1.8 1.8L8 9.8l-3.8 3.8-1.8-1.8L6.2 8 2.4 4.2Z",
  idle: "M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2ZM8 3.8a4.2 4.2 0 1 0 0 8.4 4.2 4.2 0 0 0 0-8.4Z",
  off: "M2 6.9h12v2.2H2Z",
};

const STREAM = { broadcasting: "ok", preparing: "busy", error: "warn", finished: "idle", created: "idle" };

const ENDPOINT = {
  broadcasting: "ok",
  connecting: "busy",
  listening: "busy",
  starved: "busy",
  stalled: "warn",
  waiting: "warn",
  failed: "bad",
  idle: "idle",
  finished: "idle",
  disabled: "off",
};

/** Whether its publisher is gone and may come back yet: endpoints are still connected. */
export const heldUntil = ({ pulse, record }) => (pulse ? pulse.heldUntil : record.heldUntil) ?? null;

/** Why a pulled source does not come in, as long as it does not. */
export const sourceFailure = (stream) => (stream.status === "broadcasting" ? null : stream.record.sourceError ?? null);

export const streamLook = (stream) => (heldUntil(stream) || sourceFailure(stream) ? "warn" : STREAM[stream.status] ?? "idle");
export const endpointLook = (state) => ENDPOINT[state] ?? "idle";

/** A shape and a word that follow a state. */
export function badge() {
  const shape = icon("");
  const word = el("span", { class: "badge-word" });
  const node = el("span", { class: "badge" }, shape, word);
  return {
    node,
    show(look, text) {
      setAttribute(node, "data-look", look);
      setAttribute(shape.firstChild, "d", SHAPES[look]);
      setText(word, text);
    },
  };
}

/** Whether somebody should look at it. */
export const needsAttention = (stream) => ["warn", "bad"].includes(streamLook(stream)) || ["warn", "bad"].includes(forwarding(stream).look);

/** Of a stream's endpoints: how many forward, of how many that are switched on, and how that looks. */
export function forwarding(stream) {
  // One that tries again and again has not stopped failing while it does.
  const stateOf = ({ state, figures }) => (state === "connecting" && figures?.attempt > 1 ? "waiting" : state);
  const states = [...stream.endpoints.values()].map(stateOf);
  const on = states.filter((state) => state !== "disabled");
  const sending = on.filter((state) => state === "broadcasting").length;
  if (states.length === 0) return { look: null, text: words.table.noEndpoints };
  if (on.length === 0) return { look: "off", text: words.table.allOff(states.length) };
  if (stream.status !== "broadcasting" && sending === 0) {
    return { look: "idle", text: words.table.waitingEndpoints(on.length) };
  }
  const failing = on.some((state) => ["waiting", "stalled", "failed"].includes(state));
  const look = sending === on.length ? "ok" : failing ? (sending ? "warn" : "bad") : "busy";
  return { look, text: words.table.forwarding(sending, on.length), sending, on: on.length };
}
