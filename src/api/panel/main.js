// The panel's begin: head, pages, connection. Owns what is where on the page; everything else has a file of its own.

import { openCreate } from "./create.js";
import { announce, begin, setNotice } from "./dialog.js";
import { el, icon, render, setAttribute, setHidden, setText } from "./dom.js";
import { clock } from "./format.js";
import { badge } from "./state.js";
import { Store } from "./store.js";
import { StreamPage } from "./stream.js";
import { Table } from "./table.js";
import { words } from "./words.js";

const PLUS = "M7.2 2h1.6v5.2H14v1.6H8.8V14H7.2V8.8H2V7.2h5.2Z";
const CONNECTION_LOOK = { loading: "busy", live: "ok", lost: "bad", refused: "bad" };
const THEME = "srt-restream-theme";
const CLOCK_MS = 1_000;

const store = new Store();

function themeSwitch() {
  const choices = ["auto", "light", "dark"];
  const read = () => {
    try {
      return localStorage.getItem(THEME);
    } catch {
      return null;
    }
  };
  const apply = (value) => setAttribute(document.documentElement, "data-theme", value === "auto" ? null : value);
  const kept = choices.includes(read()) ? read() : "auto";
  apply(kept);
  const choose = (event) => {
    apply(event.target.value);
    try {
      localStorage.setItem(THEME, event.target.value);
    } catch {
      // A browser that keeps nothing still shows it.
    }
  };
  const options = choices.map((choice) => el("option", { value: choice }, words.theme[choice]));
  const node = el("select", { id: "theme", "aria-label": words.theme.label, on: { change: choose } }, options);
  node.value = kept;
  return node;
}

const connection = badge();
const summary = el("p", { class: "summary number" });
const create = () => openCreate(store);
const banner = el("div", { class: "banner", hidden: true });

const head = el(
  "header",
  { class: "top" },
  el("a", { class: "skip", href: "#main", on: { click: skip } }, words.skip),
  el("h1", {}, el("a", { href: "#/" }, words.product)),
  el("div", { class: "connection", id: "connection" }, connection.node),
  summary,
  el("div", { class: "top-tools" }, themeSwitch(), el("button", { type: "button", class: "button primary", id: "new", on: { click: create } }, icon(PLUS), words.create.open)),
);

function skip(event) {
  event.preventDefault();
  main.focus();
}

const table = new Table(store, { app: new URLSearchParams(location.search).get("app"), create });
const main = el("main", { id: "main", tabindex: "-1" }, table.node);

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    // Nothing of ours has such an address.
    return null;
  }
}

/** Which page the address names: the list, or a stream. */
let page = null;
function route() {
  const [app, id] = (/^#\/([^/]+)\/([^/]+)$/.exec(location.hash) ?? []).slice(1).map(decoded);
  const left = page?.key;
  page?.close();
  page = app && id ? new StreamPage(store, app, id) : null;
  main.replaceChildren(page?.node ?? table.node);
  setText(document.querySelector("title"), page ? `${page.title} – ${words.product}` : words.product);
  if (page) main.focus();
  else table.shown(left);
}

function showConnection() {
  const { connection: state } = store;
  connection.show(CONNECTION_LOOK[state], words.connection[state]);
  setAttribute(document.body, "data-connection", state);
  setHidden(banner, state !== "lost" && state !== "refused");
  if (state === "refused") banner.replaceChildren(...refused());
  if (state === "lost") banner.replaceChildren(el("p", {}, lostText()));
  setNotice(state === "lost" ? lostText() : state === "refused" ? words.refused.title : null);
}

const lostText = () => `${words.connection.lostText} ${words.connection.since(clock(store.now()))}`;

function refused() {
  return [
    el("h2", {}, words.refused.title),
    el("p", {}, words.refused.text),
    el("p", {}, words.refused.how),
    el("pre", {}, words.refused.example),
    el("p", {}, words.refused.or),
  ];
}

let before = "loading";
store.addEventListener("connection", () => {
  if (store.connection === before) return;
  if (store.connection === "live" && before !== "loading") announce(words.connection.back);
  if (store.connection === "lost") announce(words.connection.lostText, true);
  before = store.connection;
  render(showConnection);
});

function showSummary() {
  const streams = [...store.streams.values()];
  const states = streams.flatMap((stream) => [...stream.endpoints.values()].map((endpoint) => endpoint.state));
  const live = streams.filter((stream) => stream.status === "broadcasting").length;
  const on = states.filter((state) => state !== "disabled").length;
  const sending = states.filter((state) => state === "broadcasting").length;
  setText(summary, words.summary(live, streams.length, sending, on));
}
store.addEventListener("list", () => render(showSummary));
store.addEventListener("stream", () => render(showSummary));

document.body.append(head, banner, main);
begin(document.body);
showConnection();
route();
addEventListener("hashchange", route);
addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, dialog, [role=menu]");
  if (event.key === "/" && !typing && !page && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    table.focusSearch();
  }
});
setInterval(() => !document.hidden && (page ?? table).tick(), CLOCK_MS);
store.start();
