// The form that adds or changes an endpoint. One truth, the address: the fields write into it and it fills the fields.
// The passphrase has a field of its own and stands in the address as *** alone.
//
// A change says only what differs from the endpoint as it was opened, and holds for that revision alone: where somebody
// else was faster, what was typed stays, what was not touched becomes theirs, and saving again is a choice.

import { announce, complain } from "./dialog.js";
import { el, freshId, isOff, setAttribute, setHidden, setOff, setText } from "./dom.js";
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
 * A form. `endpoint` is what is changed, or null; `latest()` reads it again; `advice(host)` is a hint of the latency
 * adviser; `exists(url)` whether the stream has that address; `send(body, revision)` and `test(body)` ask the service;
 * `cancel()` closes it.
 */
export function endpointForm({ endpoint, latest, advice, exists, send, test, cancel }) {
  const url = field("url", words.form.url, input({ inputmode: "url", placeholder: "srt://host:port?streamid=…", required: true }), words.form.urlHint);
  const label = field("label", words.form.label, input({ maxlength: "120" }), words.form.labelHint);
  const host = field("host", words.form.host, input({ inputmode: "url" }));
  const port = field("port", words.form.port, input({ inputmode: "numeric", placeholder: "4200" }));
  const mode = field("mode", words.form.mode, el("select", {}, Object.entries(words.form.modes).map(([key, text]) => el("option", { value: key }, text))));
  const streamid = field("streamid", words.form.streamid, input({}));
  const passphrase = field("passphrase", words.form.passphrase, input({ type: "password", autocomplete: "new-password" }), words.form.passphraseHint);
  const latency = field("latency", `${words.form.latency} (${words.form.latencyUnit})`, input({ inputmode: "numeric", placeholder: "150" }), words.form.latencyHint);
  const fields = { url, label, host, port, mode, streamid, passphrase, latency };
  const plain = el("input", { type: "checkbox", name: "plain" });
  const plainLine = el("label", { class: "choice" }, plain, el("span", {}, words.form.plain));
  passphrase.node.append(plainLine);
  const advised = el("div", { class: "advice", hidden: true });
  const report = el("div", { class: "report", hidden: true });
  const clash = el("div", { class: "clash", hidden: true });
  const submit = el("button", { type: "submit", class: "button primary" }, endpoint ? words.form.save : words.form.addYes);
  const tryOut = el("button", { type: "button", class: "button", on: { click: () => runTest() } }, words.form.test);
  const no = el("button", { type: "button", class: "button", on: { click: cancel } }, words.cancel);
  let touched = false;
  // The endpoint that the input is compared with.
  let base = endpoint;

  const parts = () => split(url.control.value);
  const isEncrypted = (address) => value(split(address), "passphrase") !== "";
  const isStored = () => Boolean(base && isEncrypted(base.url));

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

  /** The address with its passphrase (stored or typed), or without. */
  const encrypt = (read, on) => {
    const length = on && isStored() ? value(split(base.url), "pbkeylen") : value(read, "pbkeylen");
    return withValue(withValue(read, "passphrase", on ? HIDDEN : ""), "pbkeylen", on ? length : "");
  };

  const write = (name) => {
    let read = parts();
    const text = fields[name]?.control.value.trim();
    if (name === "host" || name === "port") read = { ...read, [name]: text };
    else if (name === "mode") read = withValue(read, "mode", text === "caller" ? "" : text);
    // An emptied field is no wish to send in the clear: the stored passphrase stays until the box says otherwise.
    else if (name === "passphrase") read = withValue(read, "passphrase", passphrase.control.value || isStored() ? HIDDEN : "");
    else if (name === "plain") read = encrypt(read, !plain.checked);
    else read = withValue(read, name, text);
    if (name === "plain" && plain.checked) passphrase.control.value = "";
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
    showEncryption(wrong);
    showAdvice();
  };

  const showEncryption = (wrong) => {
    const stored = isStored();
    const clear = stored && !isEncrypted(url.control.value);
    setHidden(plainLine, !stored);
    plain.checked = clear;
    passphrase.control.disabled = clear;
    const kept = stored && !clear && !passphrase.control.value;
    setAttribute(passphrase.control, "placeholder", kept ? words.form.passphraseKept : null);
    if (clear && wrong?.field !== "passphrase") setText(passphrase.note, words.form.plainWarning);
    setAttribute(passphrase.note, "data-bad", clear || wrong?.field === "passphrase");
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

  /** What is asked for: all of a new endpoint, of another what differs. */
  const body = () => {
    const secret = passphrase.control.value;
    const name = label.control.value.trim();
    const addressOf = (text) => (secret ? join(withValue(split(text), "passphrase", "")) : text.trim());
    const address = addressOf(url.control.value);
    return {
      ...(!base || address !== addressOf(base.url) ? { url: address } : {}),
      ...(secret ? { passphrase: secret } : {}),
      ...(name !== (base?.label ?? "") ? { label: name || null } : {}),
    };
  };

  const refuse = (refusal) => {
    if (refusal.field && (refusal.field in fields || refusal.field === "url")) {
      show({ field: refusal.field, text: refusal.message });
      (fields[refusal.field] ?? url).control.focus();
    } else {
      complain(refusal);
    }
  };

  /** Somebody else was faster: what was not touched here becomes theirs. */
  const rebase = async () => {
    const newer = await latest();
    if (url.control.value === base.url) url.control.value = newer.url;
    if (label.control.value.trim() === (base.label ?? "")) label.control.value = newer.label ?? "";
    base = newer;
    fill();
    check();
    const texts = [words.form.clash, words.form.clashNow(newer.label, newer.url), words.form.clashHow];
    clash.replaceChildren(...texts.map((text) => el("p", {}, text)));
    setHidden(clash, false);
    announce(texts.join(" "), true);
  };

  const ready = () => {
    touched = true;
    const focused = document.activeElement;
    url.control.blur();
    fill();
    const wrong = found();
    show(wrong);
    if (wrong) (fields[wrong.field] ?? url).control.focus();
    else focused?.focus();
    return !wrong;
  };

  async function runTest() {
    if (isOff(tryOut) || !ready()) return;
    setOff(tryOut, true);
    setText(tryOut, words.endpoints.testing);
    try {
      const { label: _, ...destination } = body();
      const result = await test(destination);
      setHidden(report, false);
      report.replaceChildren(...testReport(result));
      announce(result.passed ? words.test.passed : words.test.failed);
    } catch (refusal) {
      refuse(refusal);
    }
    setOff(tryOut, false);
    setText(tryOut, words.form.test);
  }

  const node = el(
    "form",
    { class: "endpoint-form", novalidate: true },
    url.node, label.node, mode.node, host.node, port.node, streamid.node, passphrase.node, latency.node,
    advised, report, clash,
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
    if (isOff(submit) || !ready()) return;
    setOff(submit, true);
    try {
      const wish = body();
      if (Object.keys(wish).length === 0) {
        cancel();
        announce(words.form.nothing);
      } else {
        await send(wish, base?.revision);
      }
    } catch (refusal) {
      await (refusal.status === 412 ? rebase().catch(complain) : refuse(refusal));
    }
    setOff(submit, false);
  });

  if (endpoint) {
    url.control.value = endpoint.url;
    label.control.value = endpoint.label ?? "";
    fill();
  }
  show(null);
  return { node, focus: () => url.control.focus() };
}
