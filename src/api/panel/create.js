// The dialog that makes a stream: a place for a publisher, a source that is pulled, or a test picture.

import { complain, openDialog, tell } from "./dialog.js";
import { el, freshId, isOff, setAttribute, setHidden, setOff, setText } from "./dom.js";
import { rest } from "./rest.js";
import { keyOf } from "./store.js";
import { words } from "./words.js";

const SCHEMES = /^(rtsps?|srt|rtmps?|https?|udp|test):\/\//i;
const ID = /^[A-Za-z0-9._-]{1,128}$/;
const SIZES = ["1280x720", "1920x1080", "640x360"];

function field(name, label, control, hint = "") {
  const id = freshId(name);
  control.id = id;
  control.name = name;
  const note = el("p", { class: "hint", id: `${id}-hint` }, hint);
  control.setAttribute("aria-describedby", note.id);
  return { control, note, hint, node: el("div", { class: `field f-${name}` }, el("label", { for: id }, label), control, note) };
}

const input = (props) => el("input", { type: "text", autocomplete: "off", spellcheck: "false", autocapitalize: "off", ...props });

export function openCreate(store) {
  let touched = false;
  let kind = "live";
  const about = el("p", { class: "muted" });
  const kinds = Object.entries(words.create.kinds).map(([value, text]) => {
    const radio = el("input", { type: "radio", name: "kind", value, checked: value === kind });
    radio.addEventListener("change", () => {
      kind = value;
      show();
    });
    return el("label", { class: "choice" }, radio, el("span", {}, text));
  });
  const app = field("app", words.create.app, el("select", {}, store.applications.map((name) => el("option", { value: name }, name))));
  const id = field("id", words.create.id, input({}), words.create.idHint);
  const name = field("name", words.create.name, input({}), words.create.nameHint);
  const url = field("url", words.create.url, input({ inputmode: "url", placeholder: "rtsp://…" }), words.create.urlHint);
  const size = field("size", words.create.size, el("select", {}, SIZES.map((value) => el("option", { value }, value.replace("x", "×")))));
  const start = el("input", { type: "checkbox", checked: true });
  const startLine = el("label", { class: "choice" }, start, el("span", {}, words.create.start));
  const submit = el("button", { type: "submit", class: "button primary" }, words.create.yes);

  const wrong = () => {
    const given = id.control.value.trim();
    if (given && !ID.test(given)) return { field: id, text: words.create.idBad };
    if (given && store.streams.has(keyOf(app.control.value, given))) return { field: id, text: words.create.idTaken };
    const address = url.control.value.trim();
    if (kind === "pull" && !address) return { field: url, text: words.create.urlMissing };
    if (kind === "pull" && !SCHEMES.test(address)) return { field: url, text: words.create.urlScheme };
    return null;
  };

  const show = () => {
    setText(about, words.create.about[kind]);
    setHidden(url.node, kind !== "pull");
    setHidden(size.node, kind !== "test");
    setHidden(startLine, kind === "live");
    const found = touched ? wrong() : null;
    for (const each of [id, url]) {
      const own = found?.field === each;
      setAttribute(each.control, "aria-invalid", own ? "true" : null);
      setAttribute(each.note, "data-bad", own);
      setText(each.note, own ? found.text : each.hint);
    }
    return found;
  };

  const send = async (event) => {
    event.preventDefault();
    touched = true;
    const found = show();
    if (found) return found.field.control.focus();
    if (isOff(submit)) return undefined;
    setOff(submit, true);
    const pulled = kind !== "live";
    const streamUrl = kind === "test" ? `test://?size=${size.control.value}` : url.control.value.trim();
    const body = {
      ...(id.control.value.trim() ? { streamId: id.control.value.trim() } : {}),
      ...(name.control.value.trim() ? { name: name.control.value.trim() } : {}),
      ...(pulled ? { type: "streamSource", streamUrl } : {}),
    };
    try {
      const answer = await rest.create(app.control.value, body, pulled && start.checked);
      const made = answer.streamId ?? answer.dataId;
      node.close();
      tell(words.done.created(body.name ?? made));
      store.touch(app.control.value, made);
    } catch (refusal) {
      complain(refusal);
    }
    setOff(submit, false);
    return undefined;
  };

  const form = el(
    "form",
    { class: "create-form", novalidate: true, on: { submit: send, input: () => ((touched = true), show()) } },
    el("fieldset", {}, el("legend", {}, words.create.kind), kinds),
    about, url.node, size.node, id.node, name.node, app.node, startLine,
    el("footer", { class: "form-foot" }, submit, el("button", { type: "button", class: "button", on: { click: () => node.close() } }, words.cancel)),
  );
  const node = openDialog({ title: words.create.title, name: "create" }, el("div", { class: "dialog-body" }, form));
  show();
  kinds[0].querySelector("input").focus();
}
