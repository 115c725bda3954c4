// Shows /openapi.json, and sends calls. Everything is built by the DOM: no text of the document becomes markup.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];
// How deep the fields of a schema are unfolded.
const DEPTH_MAX = 6;
// How much of an answer is shown, characters: a list of events has no end.
const ANSWER_MAX = 100000;

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

function resolve(doc, schema) {
  if (schema && schema.$ref) return doc.components.schemas[schema.$ref.split("/").pop()] || {};
  return schema || {};
}

// A schema as something to read: an example with types in the place of values.
function outline(doc, given, depth) {
  const schema = resolve(doc, given);
  if (depth > DEPTH_MAX) return "…";
  if (schema.allOf) return Object.assign({}, ...schema.allOf.map((part) => outline(doc, part, depth)));
  const choices = schema.oneOf || schema.anyOf;
  if (choices) {
    const real = choices.filter((choice) => choice.type !== "null");
    const shown = real.map((choice) => outline(doc, choice, depth + 1));
    return shown.length === 1 ? shown[0] : { "one of": shown };
  }
  const types = [].concat(schema.type || []);
  if (schema.properties) {
    const fields = Object.entries(schema.properties).map(([name, field]) => [name, outline(doc, field, depth + 1)]);
    return Object.fromEntries(fields);
  }
  if (types.includes("array")) return [outline(doc, schema.items, depth + 1)];
  const range = [schema.minimum, schema.maximum].some((bound) => bound !== undefined)
    ? ` ${schema.minimum ?? ""}…${schema.maximum ?? ""}` : "";
  const words = schema.enum ? schema.enum.join(" | ") : types.join(" or ") || "anything";
  return `${words}${range}${schema.description ? `: ${schema.description}` : ""}`;
}

function bodies(doc, content) {
  return Object.entries(content || {}).map(([type, { schema }]) =>
    make("div", {}, make("code", {}, type), make("pre", {}, JSON.stringify(outline(doc, schema, 0), null, 2))));
}

async function send(method, path, inputs, body, type, answer) {
  const query = new URLSearchParams();
  const headers = {};
  for (const { parameter, input } of inputs) {
    if (input.value === "") continue;
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    if (parameter.in === "query") query.set(parameter.name, input.value);
    if (parameter.in === "header") headers[parameter.name] = input.value;
  }
  if (body && body.value.trim() !== "") headers["Content-Type"] = type;
  const url = query.size ? `${path}?${query}` : path;
  answer.textContent = `${method.toUpperCase()} ${url}\n`;
  try {
    const given = body && body.value.trim() !== "" ? body.value : undefined;
    const response = await fetch(url, { method: method.toUpperCase(), headers, body: given });
    answer.append(`${response.status} ${response.statusText}\n${response.headers.get("Content-Type") || ""}\n\n`);
    const reader = response.body && response.body.pipeThrough(new TextDecoderStream()).getReader();
    let shown = 0;
    for (let part = reader && (await reader.read()); part && !part.done; part = await reader.read()) {
      answer.append(part.value);
      shown += part.value.length;
      if (shown > ANSWER_MAX) {
        answer.append("\n…");
        await reader.cancel();
        break;
      }
    }
  } catch (error) {
    answer.append(String(error));
  }
}

function call(doc, path, method, operation) {
  const inputs = (operation.parameters || []).map((parameter) => ({ parameter, input: make("input", {}) }));
  const rows = inputs.map(({ parameter, input }) => make("tr", {},
    make("td", {}, make("code", {}, parameter.name)),
    make("td", {}, `${parameter.in}${parameter.required ? ", wanted" : ""}`),
    make("td", {}, parameter.description || ""),
    make("td", {}, input)));
  const content = operation.requestBody && operation.requestBody.content;
  const body = content && make("textarea", { ariaLabel: "Body" });
  const answer = make("pre", {});
  const run = () => send(method, path, inputs, body, content && Object.keys(content)[0], answer);
  const responses = Object.entries(operation.responses).map(([status, response]) => make("details", {},
    make("summary", {}, make("code", {}, status), ` ${response.description}`), ...bodies(doc, response.content)));
  const about = (operation.summary || "").replace(/\.$/, "");
  const element = make("details", { class: `call${operation.deprecated ? " deprecated" : ""}` },
    make("summary", {},
      make("span", { class: `method ${method}` }, method.toUpperCase()),
      make("code", {}, path), make("span", { class: "about" }, about)),
    make("div", {},
      make("p", {}, operation.description || ""),
      ...(rows.length ? [make("table", {}, make("tbody", {}, ...rows))] : []),
      ...(content ? [make("h3", {}, "Body"), ...bodies(doc, content), body] : []),
      make("button", { type: "button", onclick: run }, "Send"),
      answer,
      make("h3", {}, "Answers"), ...responses));
  element.dataset.text = `${method} ${path} ${about} ${operation.description || ""}`.toLowerCase();
  return element;
}

async function start() {
  const main = document.getElementById("calls");
  const response = await fetch("/openapi.json");
  if (!response.ok) {
    main.textContent = `openapi.json: ${response.status} ${response.statusText}`;
    return;
  }
  const doc = await response.json();
  const sections = doc.tags.map((tag) => {
    const calls = Object.entries(doc.paths).flatMap(([path, item]) =>
      METHODS.filter((method) => item[method] && item[method].tags.includes(tag.name))
        .map((method) => call(doc, path, method, item[method])));
    return make("section", {}, make("h2", {}, tag.name), make("p", {}, tag.description || ""), ...calls);
  });
  main.replaceChildren(...sections);
  document.getElementById("search").addEventListener("input", (event) => {
    const wanted = event.target.value.toLowerCase();
    for (const element of main.querySelectorAll("details.call")) {
      element.hidden = !element.dataset.text.includes(wanted);
    }
  });
}

start().catch((error) => { document.getElementById("calls").textContent = String(error); });
