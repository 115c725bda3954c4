// The form that adds or changes an endpoint. One truth, the address: the fields write into it and it fills the fields.
// The passphrase has a field of its own and stands in the address as *** alone.

import { complain } from "./dialog.js";
import { el, freshId, setAttribute, setHidden, setText } from "./dom.js";
import { HIDDEN, join, problem, split, value, withValue } from "./srt_url.js";
import { testReport } from "./endpoint_test.js";
import { words } from "./words.js";

const NAMES = ["host", "port", "mode", "streamid", "latency"];

function field(name, label, control, hint) {
  const id = freshId(name);
  control.id = id;
  control.name = name;
  const note = el("p", { class: "hint", id: `${id}-hint` }, hint ?? "");
  control.setAttribute("aria-describedby", note.id);
  return { control, note, hint: hint ?? "", node: el("div", { class: `field f-${name}` }, el("label", { for: id }, label), control, note) };
}

const input = (props) => el("input", { type: "text", autocomplete: "off", spellcheck: "false", autocapitalize: "off", ...props });

/**
 * A form. `endpoint` is what is changed, or null; `advice(host)` a hint of the latency adviser; `exists(url)` whether the
 * stream has that address; `send(body)` and `test(body)` ask the service; `done()` follows a success.
 */
export function endpointForm({ endpoint, advice, exists, send, test, cancel }) {
  const url = field("url", words.form.url, input({ inputmode: "url", placeholder: "srt://host:port?streamid=…", required: true }), words.form.urlHint);
  const label = field("label", words.form.label, input({ maxlength: "120" }), words.form.labelHint);
  const host = field("host", words.form.host, input({ inputmode: "url" }));
  const port = field("port", words.form.port, input({ inputmode: "numeric", placeholder: "4200" }));
  const mode = field("mode", words.form.mode, el("select", {}, Object.entries(words.form.modes).map(([key, text]) => el("option", { value: key }, text))));
  const streamid = field("streamid", words.form.streamid, input({}));
  const passphrase = field("passphrase", words.form.passphrase, input({ type: "password", autocomplete: "new-password" }), words.form.passphraseHint);
  const latency = field("latency", `${words.form.latency} (${words.form.latencyUnit})`, input({ inputmode: "numeric", placeholder: "150" }), words.form.latencyHint);
  const fields = { url, label, host, port, mode, streamid, passphrase, latency };
  const advised = el("div", { class: "advice", hidden: true });
  const report = el("div", { class: "report", hidden: true });
  const submit = el("button", { type: "submit", class: "button primary" }, endpoint ? words.form.save : words.form.addYes);
  const tryOut = el("button", { type: "button", class: "button", on: { click: () => runTest() } }, words.form.test);
  const no = el("button", { type: "button", class: "button", on: { click: cancel } }, words.cancel);
  let touched = false;

  const parts = () => split(url.control.value);
  const secret = () => passphrase.control.value || (value(parts(), "passphrase") === HIDDEN ? HIDDEN : "");

  /** The address fills the fields, but for the one that is being typed into. */
  const fill = () => {
    let read = parts();
    const pasted = value(read, "passphrase");
    if (pasted && pasted !== HIDDEN && document.activeElement !== url.control) {
      passphrase.control.value = pasted;
      read = withValue(read, "passphrase", HIDDEN);
      url.control.value = join(read);
    }
    const now = { host: read.host, port: read.port, mode: value(read, "mode") || "caller", streamid: value(read, "streamid"), latency: value(read, "latency") };
    for (const name of NAMES) {
      if (document.activeElement !== fields[name].control) fields[name].control.value = now[name];
    }
  };

  const write = (name) => {
    let read = parts();
    const text = fields[name].control.value.trim();
    if (name === "host" || name === "port") read = { ...read, [name]: text };
    else if (name === "mode") read = withValue(read, "mode", text === "caller" ? "" : text);
    else if (name === "passphrase") read = withValue(read, "passphrase", passphrase.control.value ? HIDDEN : "");
    else read = withValue(read, name, text);
    url.control.value = join(read);
  };

  const found = () => {
    const typed = value(parts(), "passphrase");
    const wrong = problem(url.control.value, passphrase.control.value || typed);
    if (wrong) return wrong;
    return !endpoint && exists(url.control.value) ? { field: "url", text: words.url.exists } : null;
  };

  const show = (wrong) => {
    for (const [name, { control, note, hint }] of Object.entries(fields)) {
      const own = wrong?.field === name || (name === "url" && wrong && !(wrong.field in fields));
      setAttribute(control, "aria-invalid", own ? "true" : null);
      setAttribute(note, "data-bad", Boolean(own));
      setText(note, own ? wrong.text : hint);
    }
    if (!wrong && touched && url.control.value) setText(url.note, words.form.valid);
    const listener = value(parts(), "mode") === "listener";
    setText(host.node.querySelector("label"), listener ? words.form.hostListener : words.form.host);
    const kept = value(parts(), "passphrase") === HIDDEN && !passphrase.control.value;
    setAttribute(passphrase.control, "placeholder", kept ? words.form.passphraseKept : null);
    showAdvice();
  };

  const showAdvice = () => {
    const found = advice(split(url.control.value).host, endpoint);
    setHidden(advised, !found);
    if (!found) return;
    const now = Number(latency.control.value || 150);
    const text = found.own ? found.advice.reason : words.form.sameHost(found.advice.reason);
    const take = () => {
      latency.control.value = String(found.advice.latencyMs);
      write("latency");
      check();
    };
    const button = now < found.advice.latencyMs ? el("button", { type: "button", class: "button small", on: { click: take } }, words.endpoints.take(found.advice.latencyMs)) : null;
    advised.replaceChildren(el("span", {}, `${words.endpoints.advice}: ${text}`), ...[button].filter(Boolean));
  };

  const check = () => show(touched ? found() : null);

  const body = () => {
    const text = passphrase.control.value;
    const address = text ? join(withValue(parts(), "passphrase", "")) : url.control.value.trim();
    const name = label.control.value.trim();
    return { url: address, ...(text ? { passphrase: text } : {}), ...(endpoint ? { label: name || null } : name ? { label: name } : {}) };
  };

  const refuse = (refusal) => {
    if (refusal.field && (refusal.field in fields || refusal.field === "url")) {
      show({ field: refusal.field, text: refusal.message });
      (fields[refusal.field] ?? url).control.focus();
    } else {
      complain(refusal);
    }
  };

  const ready = () => {
    touched = true;
    url.control.blur();
    fill();
    const wrong = found();
    show(wrong);
    if (wrong) (fields[wrong.field] ?? url).control.focus();
    return !wrong;
  };

  async function runTest() {
    if (!ready()) return;
    tryOut.disabled = true;
    setText(tryOut, words.endpoints.testing);
    try {
      const { label: _, ...destination } = body();
      setHidden(report, false);
      report.replaceChildren(...testReport(await test(destination)));
    } catch (refusal) {
      refuse(refusal);
    }
    tryOut.disabled = false;
    setText(tryOut, words.form.test);
  }

  const node = el(
    "form",
    { class: "endpoint-form", novalidate: true },
    url.node, label.node, mode.node, host.node, port.node, streamid.node, passphrase.node, latency.node,
    advised, report,
    el("footer", { class: "form-foot" }, submit, tryOut, no),
  );
  node.addEventListener("input", (event) => {
    touched = true;
    if (event.target !== url.control && event.target !== label.control) write(event.target.name);
    // The passphrase of another address is not this one's.
    if (event.target === url.control && !value(parts(), "passphrase")) passphrase.control.value = "";
    fill();
    check();
  });
  node.addEventListener("change", () => {
    fill();
    check();
  });
  url.control.addEventListener("paste", () => setTimeout(() => {
    url.control.blur();
    fill();
    check();
    url.control.focus();
  }));
  node.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!ready()) return;
    submit.disabled = true;
    try {
      await send(body());
    } catch (refusal) {
      refuse(refusal);
    }
    submit.disabled = false;
  });

  if (endpoint) {
    url.control.value = endpoint.url;
    label.control.value = endpoint.label ?? "";
    fill();
  }
  show(null);
  return { node, focus: () => url.control.focus() };
}
