// A row of the table of streams. Owns its cells; each render changes only what differs.

import { commands, nameOf } from "./actions.js";
import { el, icon, setAttribute, setHidden, setText } from "./dom.js";
import { openEndpoints } from "./endpoints.js";
import { duration, fps, rate, secondsUntil } from "./format.js";
import { graph } from "./graph.js";
import { menuButton } from "./menu.js";
import { badge, forwarding, streamLook } from "./state.js";
import { words } from "./words.js";

const LINES = "M2 3.2h12v1.6H2ZM2 7.2h12v1.6H2ZM2 11.2h12v1.6H2Z";
const MINUTE = 60;

export const pageOf = (stream) => `#/${stream.app}/${encodeURIComponent(stream.id)}`;

export function stateText(stream) {
  if (stream.record.heldUntil || stream.pulse?.heldUntil) return words.streamState.held;
  return words.streamState[stream.status] ?? stream.status;
}

/** Beside the state: how long it is live, how long it is held, or nothing. */
export function stateTime(stream, now) {
  const held = stream.pulse?.heldUntil;
  if (held) return words.heldFor(secondsUntil(held, now));
  if (stream.status === "broadcasting" && stream.record.startTime) return duration(now - stream.record.startTime);
  return "";
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
  #id = el("span", { class: "muted small" });
  #app = el("span", {});
  #state = badge();
  #time = el("span", { class: "muted small number" });
  #source = el("span", {});
  #from = el("span", { class: "muted small clip" });
  #codecs = el("span", {});
  #size = el("span", { class: "muted small number" });
  #rate = el("span", { class: "number" });
  #graph = graph({ count: MINUTE, least: 1e5 });
  #endpoints;
  #forwarding = badge();
  #menu;

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
      cell("c-stream", this.#name, this.#id),
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
    setText(this.#name, name);
    setAttribute(this.#name, "href", pageOf(stream));
    setText(this.#id, stream.name ? stream.id : words.table.noName);
    setText(this.#app, stream.app);
    setAttribute(this.#menu, "aria-label", words.table.menuOf(name));
    this.#state.show(streamLook(stream.status), stateText(stream));
    const source = sourceText(stream);
    setText(this.#source, source.kind);
    setText(this.#from, source.from);
    setAttribute(this.#from, "title", source.from || null);
    const media = mediaText(stream);
    setText(this.#codecs, media.first);
    setText(this.#size, media.second);
    const live = stream.status === "broadcasting";
    setText(this.#rate, live ? rate(stream.pulse?.bitrate1sBps ?? stream.record.bitrate) : "");
    this.#graph.draw(stream.rate);
    const { look, text } = forwarding(stream);
    setHidden(this.#forwarding.node, false);
    this.#forwarding.show(look ?? "off", text);
    setAttribute(this.#endpoints, "data-none", look === null);
    setAttribute(this.#endpoints, "aria-label", words.table.editOf(name, text));
    setAttribute(this.node, "data-status", stream.status);
    this.tick();
  };

  /** The clock moves on. */
  tick() {
    setText(this.#time, stateTime(this.#stream, this.#store.now()));
  }

  /** The stream of this row was read anew. */
  of(stream) {
    this.#stream = stream;
  }
}
