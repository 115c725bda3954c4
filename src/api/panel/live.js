// The stream of events: one connection for the whole service, kept and mended.
//
// Owns the connection and what is known of it. `EventSource` comes back by itself with Last-Event-ID as long as the
// service answers at all; after an answer that is no stream of events it gives up, so that case is taken over here.

import { address, call } from "./rest.js";

/** Nothing for this long (ticks come each second): the connection is dead, whatever the browser thinks. */
const SILENCE_MAX_MS = 6_000;
/** Between two attempts of ours. */
const RETRY_MS = 2_000;
/** A page nobody looks at gives its connection back after this long: a browser has six for a server over HTTP/1.1. */
const HIDDEN_MAX_MS = 60_000;

const NAMES = [
  "hello", "gap", "statistics", "broadcastCreated", "broadcastChanged", "broadcastDeleted", "streamPreparing",
  "streamStarted", "streamHeld", "streamResumed", "streamEnded", "sourceState", "endpointAdded", "endpointChanged",
  "endpointRemoved", "endpointState",
];

export class Live {
  #source = null;
  #timer = null;
  #watch = null;
  #hidden = null;
  #seen = null;
  #told;
  #changed;

  /** `told(name, data)` for each event, `changed(state, refusal)` for `live`, `lost`, `refused`. */
  constructor(told, changed) {
    this.#told = told;
    this.#changed = changed;
    document.addEventListener("visibilitychange", () => this.#look());
    addEventListener("online", () => this.#open());
    addEventListener("offline", () => this.#lose());
  }

  start() {
    this.#open();
  }

  #look() {
    clearTimeout(this.#hidden);
    if (document.hidden) {
      this.#hidden = setTimeout(() => this.#rest(), HIDDEN_MAX_MS);
    } else if (!this.#source && !this.#timer) {
      this.#open();
    }
  }

  #close() {
    clearTimeout(this.#watch);
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#source?.close();
    this.#source = null;
  }

  /** Nobody looks: no connection, and nothing that is shown is called live. */
  #rest() {
    this.#close();
    this.#changed("loading");
  }

  #open() {
    this.#close();
    // It is opened when somebody looks.
    if (document.hidden) return;
    const seen = this.#seen ? `?lastEventId=${encodeURIComponent(this.#seen)}` : "";
    const source = new EventSource(address(`rest/v2/events${seen}`));
    this.#source = source;
    for (const name of NAMES) source.addEventListener(name, (event) => this.#hear(source, name, event));
    source.addEventListener("error", () => {
      if (source !== this.#source) return;
      this.#lose();
    });
    this.#expect();
  }

  #hear(source, name, event) {
    if (source !== this.#source) return;
    this.#seen = event.lastEventId || this.#seen;
    this.#expect();
    let data;
    try {
      data = JSON.parse(event.data);
    } catch {
      return;
    }
    if (name === "hello") this.#changed("live");
    this.#told(name, data);
  }

  #expect() {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => this.#lose(), SILENCE_MAX_MS);
  }

  /** Says so at once and asks why: a refusal is another thing than silence. */
  async #lose() {
    this.#close();
    this.#changed("lost");
    this.#timer = setTimeout(() => this.#open(), RETRY_MS);
    try {
      await call("GET", "rest/v2/applications", undefined, { timeoutMs: RETRY_MS });
    } catch (refusal) {
      if (refusal.status === 403) this.#changed("refused", refusal);
    }
  }
}
