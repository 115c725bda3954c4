// One endpoint in the dialog: what it is, how it fares, and what can be done with it. Owns its card; the dialog owns the
// list and what is sent.

import { announce, complain, tell, undoable } from "./dialog.js";
import { el, icon, setAttribute, setHidden, setText } from "./dom.js";
import { testReport } from "./endpoint_test.js";
import { bytes, clock, duration, ms, percent, rate, rtt, secondsUntil } from "./format.js";
import { graph } from "./graph.js";
import { KEPT } from "./history.js";
import { rest } from "./rest.js";
import { badge, endpointLook } from "./state.js";
import { words } from "./words.js";

const RETRY = "M8 2a6 6 0 1 0 5.9 7.1h-1.6A4.4 4.4 0 1 1 8 3.6c1.2 0 2.3.5 3.1 1.3L9 7h5V2l-1.8 1.8A6 6 0 0 0 8 2Z";
const FAILING = ["waiting", "failed", "stalled", "connecting"];

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
  #failure = el("p", { class: "failure", hidden: true });
  #why = el("strong", {});
  #text = el("span", {});
  #next = el("span", { class: "number" });
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
  #removing = false;

  /** `context`: `store`, `stream`, `edit(row)`, `changed(resource)`, `focusList()`. */
  constructor(endpoint, context) {
    this.#endpoint = endpoint;
    this.#context = context;
    const button = (name, text, run, bad) => {
      const node = el("button", { type: "button", class: bad ? "button small bad" : "button small", data: { do: name }, on: { click: run } }, text);
      this.#buttons[name] = node;
      return node;
    };
    this.#switch.addEventListener("change", () => this.#turn(this.#switch.checked));
    this.#failure.append(this.#why, this.#text, " ", this.#next);
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

  focusEdit() {
    this.#buttons.edit.focus();
  }

  of(endpoint) {
    this.#endpoint = endpoint;
  }

  render = () => {
    const endpoint = this.#endpoint;
    const { store, stream } = this.#context;
    const seen = stream().endpoints.get(endpoint.id);
    const figures = seen?.figures ?? endpoint.statistics ?? {};
    const state = this.#removing ? "disabled" : endpoint.state;
    const name = endpointName(endpoint);
    setText(this.#title, name);
    setText(this.#url, endpoint.url);
    this.#state.show(endpointLook(state), words.endpointState[state] ?? state);
    setAttribute(this.node, "data-state", state);
    setAttribute(this.#switch, "aria-label", words.endpoints.switch(name));
    if (!this.#switch.disabled) this.#switch.checked = endpoint.enabled && !this.#removing;
    setText(this.#switchText, endpoint.enabled ? words.endpoints.on : words.endpoints.off);
    for (const [what, node] of Object.entries(this.#buttons)) setAttribute(node, "aria-label", `${words.endpoints[what]}: ${name}`);
    this.#renderFailure(state);
    const sending = ["broadcasting", "stalled"].includes(state);
    setText(this.#rate.value, sending ? rate(figures.sendRateBps) : "–");
    setText(this.#rtt.value, sending ? rtt(figures.rttMs ?? null) : "–");
    setText(this.#loss.value, sending ? percent(figures.lossRatio) : "–");
    setText(this.#latency.value, ms(sending && figures.latencyMs ? figures.latencyMs : endpoint.latencyMs ?? null));
    setText(this.#sent.value, bytes(figures.sentBytes));
    setText(this.#dropped.value, words.endpoints.droppedGops(figures.droppedGops ?? 0));
    setAttribute(this.#dropped.node, "data-bad", sending && (figures.droppedGops ?? 0) > 0);
    this.#rate.draw(seen?.rate);
    this.#rtt.draw(seen?.rtt);
    this.#loss.draw(seen?.loss);
    this.#renderAdvice();
    this.tick(store.now());
    // A step is read out once, not each second.
    if (this.#said !== null && this.#said !== state) announce(words.endpoints.nowState(name, words.endpointState[state] ?? state));
    this.#said = state;
  };

  #renderFailure(state) {
    const { failure, attempt } = this.#endpoint;
    const shown = failure && FAILING.includes(state);
    setHidden(this.#failure, !shown && !this.#endpoint.unreadable);
    // Also while it tries: a button that comes and goes moves the others.
    setHidden(this.#buttons.retry, !shown);
    if (this.#endpoint.unreadable) {
      setText(this.#text, this.#endpoint.unreadable);
      return;
    }
    if (!shown) return;
    setText(this.#why, `${words.cause[failure.cause] ?? failure.cause}: `);
    setText(this.#text, `${failure.text} · ${words.endpoints.failedAt(clock(failure.at))} ${words.endpoints.attempt(failure.attempt ?? attempt)}`);
  }

  #renderAdvice() {
    const { advice } = this.#endpoint;
    setHidden(this.#advice, !advice);
    if (!advice) return;
    setAttribute(this.#advice, "data-bad", !advice.enough);
    setText(this.#advice, advice.enough ? words.endpoints.enough(advice.reason) : words.endpoints.more(advice.latencyMs, advice.reason));
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
    if (state === "waiting" && failure?.nextRetryAt) setText(this.#next, words.endpoints.nextTry(secondsUntil(failure.nextRetryAt, now)));
    else setText(this.#next, state === "failed" ? words.endpoints.noTry : "");
  }

  #paths() {
    const stream = this.#context.stream();
    return [stream.app, stream.id, this.#endpoint.id];
  }

  async #turn(enabled) {
    this.#switch.disabled = true;
    try {
      this.#context.changed(await rest.changeEndpoint(...this.#paths(), { enabled }));
      const name = endpointName(this.#endpoint);
      announce(enabled ? words.endpoints.switchedOn(name) : words.endpoints.switchedOff(name));
    } catch (refusal) {
      complain(refusal);
    }
    this.#switch.disabled = false;
    this.#switch.focus();
    this.render();
  }

  async #retry() {
    try {
      this.#context.changed(await rest.retryEndpoint(...this.#paths()));
      announce(words.endpoints.retrying);
    } catch (refusal) {
      complain(refusal);
    }
  }

  async #test() {
    const button = this.#buttons.test;
    button.disabled = true;
    setText(button, words.endpoints.testing);
    try {
      const connected = ["broadcasting", "stalled"].includes(this.#endpoint.state);
      const report = await rest.testEndpoint(...this.#paths());
      setHidden(this.#report, false);
      this.#report.replaceChildren(...testReport(report, connected));
      announce(report.passed ? words.test.passed : words.test.failed);
    } catch (refusal) {
      complain(refusal);
    }
    button.disabled = false;
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

  /**
   * Switches it off at once and deletes it when the time to take that back is over: a passphrase that was deleted could
   * not be put back from here.
   */
  async #remove() {
    const paths = this.#paths();
    const endpoint = this.#endpoint;
    const name = endpointName(endpoint);
    this.#slot.replaceChildren();
    this.#removing = true;
    setHidden(this.node, true);
    this.#context.focusList();
    const fail = (refusal) => {
      this.#removing = false;
      setHidden(this.node, false);
      this.render();
      complain(refusal);
    };
    if (endpoint.enabled && !endpoint.unreadable) {
      try {
        await rest.changeEndpoint(...paths, { enabled: false });
      } catch (refusal) {
        if (refusal.status !== 404) return fail(refusal);
      }
    }
    return undoable(words.endpoints.removed(name), {
      finish: (leaving) =>
        rest.removeEndpoint(...paths, { keepalive: leaving }).catch((refusal) => refusal.status !== 404 && fail(refusal)),
      back: async () => {
        try {
          if (endpoint.enabled) this.#context.changed(await rest.changeEndpoint(...paths, { enabled: true }));
          tell(words.endpoints.kept(name));
        } catch (refusal) {
          complain(refusal);
        }
        this.#removing = false;
        setHidden(this.node, false);
        this.render();
        this.#buttons.remove.focus();
      },
    });
  }
}
