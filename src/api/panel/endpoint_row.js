// One endpoint in the dialog: what it is, how it fares, and what can be done with it. Owns its card; the dialog owns the
// list and what is sent.
//
// The hard thing is that all of it changes while a hand is on its way to a button: so nothing here comes and goes but
// what was pressed for. Retry can't be pressed instead of being hidden, and a failure keeps its place when it is over.

import { announce, complain } from "./dialog.js";
import { el, icon, isOff, setAttribute, setHidden, setOff, setText } from "./dom.js";
import { testReport } from "./endpoint_test.js";
import { bytes, clock, duration, ms, percent, rate, rtt, secondsUntil } from "./format.js";
import { graph } from "./graph.js";
import { KEPT } from "./history.js";
import { isRemoved, removeEndpoint } from "./removals.js";
import { rest } from "./rest.js";
import { badge, endpointLook } from "./state.js";
import { words } from "./words.js";

const RETRY = "M8 2a6 6 0 1 0 5.9 7.1h-1.6A4.4 4.4 0 1 1 8 3.6c1.2 0 2.3.5 3.1 1.3L9 7h5V2l-1.8 1.8A6 6 0 0 0 8 2Z";
const CONNECTED = ["broadcasting", "starved", "stalled"];
const FAILING = ["waiting", "failed", "stalled", "connecting"];
/** A failure that was over for longer when the dialog was opened is not told of. */
const RECENT_MS = 600_000;

export const endpointName = (endpoint) => endpoint.label || endpoint.host || endpoint.url || words.endpoints.unlabelled;

function figure(name, text) {
  const value = el("span", { class: "figure-value number" });
  const drawn = text ? graph({ count: KEPT, label: words.endpoints.graphOf(text.name), least: text.least }) : null;
  const node = el("div", { class: "figure" }, el("span", { class: "figure-name" }, name), value, drawn?.node);
  return { node, value, draw: drawn?.draw };
}

export class EndpointRow {
  #endpoint;
  #context;
  #said = null;
  #title = el("h3", {});
  #url = el("code", { class: "url" });
  #state = badge();
  #since = el("span", { class: "muted number" });
  #switch = el("input", { type: "checkbox", role: "switch", class: "switch" });
  #switchText = el("span", { "aria-hidden": "true" });
  #failure = el("div", { class: "failure", hidden: true });
  #why = el("strong", {});
  #text = el("span", {});
  #todo = el("p", {});
  #when = el("span", {});
  #next = el("span", { class: "next" });
  #rate = figure(words.endpoints.bitrate, { name: words.endpoints.bitrate, least: 1e5 });
  #rtt = figure(words.endpoints.rtt, { name: words.endpoints.rtt, least: 10 });
  #loss = figure(words.endpoints.loss, { name: words.endpoints.loss, least: 0.01 });
  #latency = figure(words.endpoints.latency);
  #sent = figure(words.endpoints.sent);
  #dropped = figure(words.endpoints.dropped);
  #advice = el("p", { class: "advice", hidden: true });
  #report = el("div", { class: "report", hidden: true });
  #slot = el("div", { class: "slot" });
  #buttons = {};
  #turning = false;
  /** The last failure that was seen here: its place stays when it is over. */
  #failed = null;

  /** `context`: `store`, `stream`, `edit(row)`, `changed(resource)`, `reread()`, `focusList()`, `hasFocus()`. */
  constructor(endpoint, context) {
    this.#endpoint = endpoint;
    this.#context = context;
    const button = (name, text, run, bad) => {
      const node = el("button", { type: "button", class: bad ? "button small bad" : "button small", data: { do: name }, on: { click: run } }, text);
      this.#buttons[name] = node;
      return node;
    };
    const past = endpoint.history?.findLast((step) => step.cause);
    if (past && past.at > context.store.now() - RECENT_MS) this.#failed = past;
    this.#switch.addEventListener("change", () => this.#turn(this.#switch.checked));
    // It keeps the focus while the service is asked, so it is not disabled.
    this.#switch.addEventListener("click", (event) => this.#turning && event.preventDefault());
    this.#failure.append(el("p", {}, this.#why, this.#text), this.#todo, el("p", { class: "number" }, this.#when, " ", this.#next));
    const tools = el(
      "div",
      { class: "tools" },
      button("retry", [icon(RETRY), words.endpoints.retry], () => this.#retry()),
      button("test", words.endpoints.test, () => this.#test()),
      button("edit", words.endpoints.edit, () => context.edit(this)),
      button("remove", words.endpoints.remove, () => this.#ask(), true),
    );
    this.node = el(
      "li",
      { class: "endpoint", data: { id: endpoint.id } },
      el(
        "div",
        { class: "endpoint-head" },
        el("div", { class: "endpoint-title" }, this.#title, this.#url),
        el("label", { class: "switch-label" }, this.#switch, this.#switchText),
      ),
      el("div", { class: "endpoint-state" }, this.#state.node, this.#since, tools),
      this.#failure,
      el("div", { class: "figures" }, this.#rate.node, this.#rtt.node, this.#loss.node, this.#latency.node, this.#sent.node, this.#dropped.node),
      this.#advice,
      this.#report,
      this.#slot,
    );
  }

  get endpoint() {
    return this.#endpoint;
  }

  /** Takes the place below the card, for the form. */
  get slot() {
    return this.#slot;
  }

  /** Puts the focus on one of its buttons, by its name. */
  focus(name) {
    this.#buttons[name].focus();
  }

  of(endpoint) {
    this.#endpoint = endpoint;
  }

  render = () => {
    const endpoint = this.#endpoint;
    const { store, stream } = this.#context;
    const seen = stream().endpoints.get(endpoint.id);
    const figures = seen?.figures ?? endpoint.statistics ?? {};
    const { state } = endpoint;
    const name = endpointName(endpoint);
    const removed = isRemoved(...this.#paths());
    setHidden(this.node, removed);
    setText(this.#title, name);
    setText(this.#url, endpoint.url);
    this.#state.show(endpointLook(state), words.endpointState[state] ?? state);
    setAttribute(this.node, "data-state", state);
    setAttribute(this.#switch, "aria-label", words.endpoints.switch(name));
    setOff(this.#switch, this.#turning);
    if (!this.#turning) this.#switch.checked = endpoint.enabled;
    setText(this.#switchText, endpoint.enabled ? words.endpoints.on : words.endpoints.off);
    for (const [what, node] of Object.entries(this.#buttons)) setAttribute(node, "aria-label", `${words.endpoints[what]}: ${name}`);
    this.#renderFailure(state);
    const sending = CONNECTED.includes(state);
    setText(this.#rate.value, sending ? rate(figures.sendRateBps) : "–");
    setText(this.#rtt.value, sending ? rtt(figures.rttMs ?? null) : "–");
    setText(this.#loss.value, sending ? percent(figures.lossRatio) : "–");
    setText(this.#latency.value, ms(sending && figures.latencyMs ? figures.latencyMs : endpoint.latencyMs ?? null));
    setText(this.#sent.value, bytes(figures.sentBytes));
    setText(this.#dropped.value, words.endpoints.droppedGops(figures.droppedGops ?? 0));
    setAttribute(this.#dropped.node, "data-bad", sending && (figures.droppedGops ?? 0) > 0);
    this.#rate.draw(seen?.rate, store.now());
    this.#rtt.draw(seen?.rtt, store.now());
    this.#loss.draw(seen?.loss, store.now());
    this.#renderAdvice();
    this.tick(store.now());
    // A step is read out once, not each second.
    if (this.#said !== null && this.#said !== state && !removed) announce(words.endpoints.nowState(name, words.endpointState[state] ?? state));
    this.#said = state;
  };

  #renderFailure(state) {
    const { failure, attempt, unreadable } = this.#endpoint;
    const now = failure && FAILING.includes(state);
    if (now) this.#failed = { ...failure, attempt: failure.attempt ?? attempt };
    setOff(this.#buttons.retry, !now);
    setHidden(this.#failure, !this.#failed && !unreadable);
    setAttribute(this.#failure, "data-past", !now && !unreadable);
    if (unreadable) setText(this.#text, unreadable);
    if (unreadable || !this.#failed) return;
    const { cause, text } = this.#failed;
    const why = words.cause[cause] ?? cause;
    setText(this.#why, now ? `${why}: ` : `${words.endpoints.lastFailure(why)}: `);
    setText(this.#text, text);
    setText(this.#todo, words.todo[cause] ?? "");
  }

  #renderAdvice() {
    const { advice } = this.#endpoint;
    // A place that was taken stays: a new connection has no hint for a while.
    if (advice) setHidden(this.#advice, false);
    setAttribute(this.#advice, "data-bad", Boolean(advice) && !advice.enough);
    setText(this.#advice, !advice ? "" : advice.enough ? words.endpoints.enough(advice.reason) : words.endpoints.more(advice.latencyMs, advice.reason));
  }

  /** The clock moves on. */
  tick(now = this.#context.store.now()) {
    const { failure, state, since } = this.#endpoint;
    const figures = this.#context.stream().endpoints.get(this.#endpoint.id)?.figures;
    const parts = [];
    if (since && state !== "disabled" && state !== "idle") parts.push(words.endpoints.since(duration(now - since)));
    if (figures?.callers && this.#endpoint.mode === "listener") parts.push(words.endpoints.callers(figures.callers));
    if (figures?.reconnects) parts.push(words.endpoints.reconnects(figures.reconnects));
    setText(this.#since, parts.join(" · "));
    const waits = state === "waiting" && failure?.nextRetryAt;
    const left = waits ? secondsUntil(failure.nextRetryAt, now) : 0;
    const next = waits || state === "connecting" ? words.endpoints.nextTry(left) : state === "failed" ? words.endpoints.noTry : "";
    setText(this.#when, this.#failed ? words.endpoints.failedAt(this.#failed.attempt, clock(this.#failed.at)) : "");
    setText(this.#next, next);
  }

  #paths() {
    const stream = this.#context.stream();
    return [stream.app, stream.id, this.#endpoint.id];
  }

  async #turn(enabled) {
    this.#turning = true;
    this.render();
    try {
      this.#context.changed(await rest.changeEndpoint(...this.#paths(), { enabled }));
      const name = endpointName(this.#endpoint);
      announce(enabled ? words.endpoints.switchedOn(name) : words.endpoints.switchedOff(name));
    } catch (refusal) {
      complain(refusal, endpointName(this.#endpoint));
      this.#context.reread();
    }
    this.#turning = false;
    this.render();
  }

  async #retry() {
    if (isOff(this.#buttons.retry)) return;
    try {
      this.#context.changed(await rest.retryEndpoint(...this.#paths()));
      announce(words.endpoints.retrying);
    } catch (refusal) {
      complain(refusal, endpointName(this.#endpoint));
      this.#context.reread();
    }
  }

  async #test() {
    const button = this.#buttons.test;
    if (isOff(button)) return;
    setOff(button, true);
    setText(button, words.endpoints.testing);
    try {
      const connected = CONNECTED.includes(this.#endpoint.state);
      const report = await rest.testEndpoint(...this.#paths());
      setHidden(this.#report, false);
      this.#report.replaceChildren(...testReport(report, connected));
      announce(report.passed ? words.test.passed : words.test.failed);
    } catch (refusal) {
      complain(refusal, endpointName(this.#endpoint));
    }
    setOff(button, false);
    setText(button, words.endpoints.test);
  }

  /** Asks where the button was. */
  #ask() {
    const back = () => {
      this.#slot.replaceChildren();
      this.#buttons.remove.focus();
    };
    const keep = el("button", { type: "button", class: "button small", on: { click: back } }, words.endpoints.removeNo);
    const yes = el("button", { type: "button", class: "button small bad", data: { do: "remove-yes" }, on: { click: () => this.#remove() } }, words.endpoints.removeYes);
    const question = el("div", { class: "question", role: "group", "aria-label": words.endpoints.removeAsk }, el("span", {}, words.endpoints.removeAsk), yes, keep);
    question.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      event.stopPropagation();
      back();
    });
    this.#slot.replaceChildren(question);
    yes.focus();
  }

  #remove() {
    const had = this.node.contains(document.activeElement);
    const { focusList, hasFocus } = this.#context;
    this.#slot.replaceChildren();
    if (had) focusList();
    // The way back takes the place of the row that is gone, unless somebody is elsewhere by then.
    const focus = () => had && hasFocus();
    removeEndpoint(...this.#paths().slice(0, 2), this.#endpoint, endpointName(this.#endpoint), { focus, lost: focusList });
  }
}
