// What a stream looks like: a still about each second, and only while somebody looks.
//
// Owns the asking. The service decodes for whoever asks, so nothing is asked for while the page is hidden or closed, the
// box is out of sight, the stream is not live or Pause is pressed; never twice at once; and a request that runs is given
// up with the reason for it. A picture that is not of now says so, or is not shown.

import { el, setAttribute, setHidden, setText } from "./dom.js";
import { clock } from "./format.js";
import { address, streamPath } from "./rest.js";
import { section } from "./stream_parts.js";
import { words } from "./words.js";

/** Between a picture and the next request. */
const NEXT_MS = 1_000;
/** After something failed. */
const AGAIN_MS = 5_000;
/** For one picture: the service waits 8 s for a key frame before it says that none comes. */
const ANSWER_MAX_MS = 15_000;
/** An older picture is not taken for how it looks now. */
const FRESH_MAX_MS = 4_000;

/**
 * The section of a stream's page. `render(name, why)` follows the stream, where `why` says that there is no picture to ask
 * for, or is null; `close()` ends everything.
 */
export function preview(app, id) {
  const href = address(`${streamPath(app, id)}/preview.jpg`);
  const picture = el("img", { class: "preview-picture", alt: "", hidden: true });
  const text = el("p", { class: "preview-text", role: "status" });
  const button = el("button", { type: "button", class: "button small", data: { do: "pause" }, on: { click: pause } }, words.preview.pause);
  const box = el("div", { class: "preview" }, picture, text);
  const node = section(words.preview.title, box, el("p", { class: "part-tools" }, button));
  node.classList.add("preview-part");
  let name = id;
  let hindrance = words.preview.notLive;
  let seen = false;
  let paused = false;
  let closed = false;
  let failure = null;
  /** The picture's object URL, and when it came. */
  let shown = null;
  let at = null;
  let timer = null;
  let ages = null;
  let asking = null;

  const wanted = () => hindrance === null && seen && !paused && !closed && !document.hidden;

  const show = () => {
    const why = hindrance ?? failure;
    const old = shown && Date.now() - at >= FRESH_MAX_MS ? words.preview.old(clock(at)) : "";
    setHidden(picture, !shown || why !== null);
    setAttribute(picture, "alt", paused && at ? words.preview.altOf(name, clock(at)) : words.preview.alt(name));
    setText(text, why ?? (paused ? words.preview.paused : shown ? old : words.preview.loading));
    setHidden(text, text.textContent === "");
    setAttribute(box, "data-says", why !== null || !shown);
    setText(button, paused ? words.preview.resume : words.preview.pause);
  };

  const drop = () => {
    clearTimeout(ages);
    if (shown) URL.revokeObjectURL(shown);
    shown = null;
  };

  /** Puts a picture in the place of the last one, which is seen until then. */
  const put = async (blob) => {
    const url = URL.createObjectURL(blob);
    const next = new Image();
    next.src = url;
    try {
      await next.decode();
    } catch {
      URL.revokeObjectURL(url);
      throw new Error(words.preview.unreadable);
    }
    drop();
    shown = url;
    at = Date.now();
    picture.src = url;
    ages = setTimeout(show, FRESH_MAX_MS);
  };

  /** Starts what is wanted, and ends what is not. */
  function look() {
    if (!wanted()) {
      clearTimeout(timer);
      timer = null;
      asking?.abort();
    } else if (!asking && !timer) {
      ask();
    }
    show();
  }

  async function ask() {
    const own = new AbortController();
    asking = own;
    let after = NEXT_MS;
    try {
      const answer = await fetch(href, { cache: "no-store", signal: AbortSignal.any([own.signal, AbortSignal.timeout(ANSWER_MAX_MS)]) });
      if (!answer.ok) throw new Error((await answer.json().catch(() => null))?.detail ?? words.errors.status(answer.status));
      await put(await answer.blob());
      failure = null;
    } catch (error) {
      after = AGAIN_MS;
      if (!own.signal.aborted) failure = words.preview.failed(reason(error));
    }
    asking = null;
    if (closed) return drop();
    // What was given up is asked for again as soon as it is wanted, what has failed in a while.
    if (wanted()) timer = setTimeout(again, own.signal.aborted ? 0 : after);
    show();
    return undefined;
  }

  function again() {
    timer = null;
    look();
  }

  function reason(error) {
    if (error.name === "TimeoutError") return words.errors.slowRead;
    return error instanceof TypeError ? words.errors.unreachable : error.message;
  }

  function pause() {
    paused = !paused;
    if (!paused) failure = null;
    look();
  }

  const watch = new IntersectionObserver((changes) => {
    seen = changes.at(-1).isIntersecting;
    look();
  });
  watch.observe(box);
  document.addEventListener("visibilitychange", look);

  return {
    node,
    render(called, why) {
      if (called === name && why === hindrance) return;
      name = called;
      if (why !== hindrance) failure = null;
      hindrance = why;
      // The picture of what is over is none of what comes next.
      if (hindrance !== null) drop();
      look();
    },
    close() {
      closed = true;
      watch.disconnect();
      document.removeEventListener("visibilitychange", look);
      look();
      drop();
    },
  };
}
