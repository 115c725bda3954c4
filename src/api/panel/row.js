// A row of the table of streams. Owns its cells; each render changes only what differs.

import { commands, nameOf } from "./actions.js";
import { el, icon, setAttribute, setHidden, setText } from "./dom.js";
import { openEndpoints } from "./endpoints.js";
import { duration, fps, rate, secondsUntil } from "./format.js";
import { graph } from "./graph.js";
import { menuButton } from "./menu.js";
import { badge, forwarding, heldUntil, sourceFailure, streamLook } from "./state.js";
import { words } from "./words.js";

const LINES = "M2 3.2h12v1.6H2ZM2 7.2h12v1.6H2ZM2 11.2h12v1.6H2Z";
const MINUTE = 60;

export const pageOf = (stream) => `#/${stream.app}/${encodeURIComponent(stream.id)}`;

export function stateText(stream) {
  if (heldUntil(stream)) return words.streamState.held;
  // Also while it is tried again: a word that changes with each attempt says less.
  if (sourceFailure(stream)) return words.streamState.error;
  return words.streamState[stream.status] ?? stream.status;
}

/** Beside the state: how long it is live, how long it is held, or nothing. */
export function stateTime(stream, now) {
  const held = heldUntil(stream);
  if (held) return words.heldFor(secondsUntil(held, now));
  if (stream.status === "broadcasting" && stream.record.startTime) return duration(now - stream.record.startTime);
  return "";
}

/** Of a pulled source that fails: why, and when it is tried again; or null. */
export function sourceTrouble(stream, now) {
  const failure = sourceFailure(stream);
  if (!failure) return null;
  const { cause, attempt, nextRetryAt } = failure;
  const next = stream.record.sourceState === "waiting" && nextRetryAt ? words.endpoints.nextTry(secondsUntil(nextRetryAt, now)) : words.endpoints.nextTry(0);
  return { cause, next: `${words.endpoints.attempt(attempt)} ${next}` };
}

export function mediaText(stream) {
  const tracks = stream.pulse?.tracks ?? [];
  const video = tracks.find((track) => track.kind === "video");
  const audio = tracks.filter((track) => track.kind === "audio").map((track) => track.codec);
  const size = video?.widthPx ? `${video.widthPx}×${video.heightPx}` : null;
  return {
    first: [video?.codec, ...audio].filter(Boolean).join(" + "),
    second: [size, fps(stream.pulse?.frameRateFps)].filter(Boolean).join(" · "),
  };
}

export function sourceText(stream) {
  const { publishType, remoteIp, type, streamUrl } = stream.record;
  const kind = publishType ?? words.sourceKinds[type] ?? "";
  return { kind, from: streamUrl ?? remoteIp ?? "" };
}

export class Row {
  #store;
  #stream;
  #name = el("a", { class: "stream-name" });
  /** The application stands here where its column has no room. */
  #where = el("span", { class: "where" });
  #id = el("span", {});
  #app = el("span", {});
  #state = badge();
  #time = el("span", { class: "muted small number" });
  #source = el("span", {});
  #from = el("span", { class: "muted small clip" });
  #codecs = el("span", { class: "codecs" });
  #size = el("span", { class: "muted small number" });
  #rate = el("span", { class: "number" });
  #graph = graph({ count: MINUTE, least: 1e5 });
  #endpoints;
  #forwarding = badge();
  #menu;
  #seen = false;
  /** Something has changed since it was rendered. */
  stale = true;

  constructor(store, stream) {
    this.#store = store;
    this.#stream = stream;
    this.#menu = menuButton({}, icon(LINES), () =>
      commands(store, this.#stream, { details: () => (location.hash = pageOf(this.#stream)) }),
    );
    const edit = () => openEndpoints(store, this.#stream);
    this.#endpoints = el("button", { type: "button", class: "link-button", on: { click: edit } }, this.#forwarding.node);
    const cell = (name, ...content) => el("td", { role: "cell", class: `cell ${name}` }, ...content);
    this.node = el(
      "tr",
      { role: "row", class: "row", data: { key: stream.key } },
      cell("c-menu", this.#menu),
      cell("c-stream", this.#name, el("span", { class: "muted small" }, this.#where, this.#id)),
      cell("c-app", this.#app),
      cell("c-state", this.#state.node, this.#time),
      cell("c-source", this.#source, this.#from),
      cell("c-media", this.#codecs, this.#size),
      cell("c-rate", this.#rate, this.#graph.node),
      cell("c-endpoints", this.#endpoints),
    );
  }

  /** Shows how the stream is now. */
  render = () => {
    const stream = this.#stream;
    const name = nameOf(stream);
    const key = `${stream.app}/${stream.id}`;
    setText(this.#name, name);
    // What is cut off is read here, and two streams of one name are told apart.
    setAttribute(this.#name, "title", `${name} (${key})`);
    setAttribute(this.#name, "href", pageOf(stream));
    setText(this.#where, stream.name ? `${stream.app}/` : `${stream.app} · `);
    setText(this.#id, stream.name ? stream.id : words.table.noName);
    setAttribute(this.#id.parentNode, "title", key);
    setText(this.#app, stream.app);
    setAttribute(this.#app, "title", stream.app);
    setAttribute(this.#menu, "aria-label", words.table.menuOf(name));
    this.#state.show(streamLook(stream), stateText(stream));
    const source = sourceText(stream);
    setText(this.#source, source.kind);
    setText(this.#from, source.from);
    setAttribute(this.#from, "title", source.from || null);
    const trouble = sourceTrouble(stream, this.#store.now());
    const media = mediaText(stream);
    setText(this.#codecs, trouble?.cause ?? media.first);
    setAttribute(this.#codecs, "title", trouble?.cause);
    setAttribute(this.node, "data-trouble", trouble !== null);
    if (!trouble) setText(this.#size, media.second);
    const live = stream.status === "broadcasting";
    setText(this.#rate, live ? rate(stream.pulse?.bitrate1sBps ?? stream.record.bitrate) : "");
    this.#draw();
    const { look, text } = forwarding(stream);
    setHidden(this.#forwarding.node, false);
    this.#forwarding.show(look ?? "off", text);
    setAttribute(this.#endpoints, "data-none", look === null);
    setAttribute(this.#endpoints, "aria-label", words.table.editOf(name, text));
    setAttribute(this.node, "data-status", stream.status);
    this.stale = false;
    this.tick();
  };

  /** A graph that nobody sees is not drawn; nor is one of what is over. */
  #draw() {
    if (this.#seen) this.#graph.draw(this.#stream.pulse ? this.#stream.rate : null, this.#store.now());
  }

  /** It has come into view, or has left it. */
  setSeen(seen) {
    this.#seen = seen;
    this.#draw();
  }

  /** The clock moves on. */
  tick() {
    const now = this.#store.now();
    setText(this.#time, stateTime(this.#stream, now));
    const trouble = sourceTrouble(this.#stream, now);
    if (trouble) setText(this.#size, trouble.next);
  }

  focus() {
    this.#name.focus();
  }

  /** The stream of this row was read anew. */
  of(stream) {
    if (this.#stream !== stream) this.stale = true;
    this.#stream = stream;
  }
}
