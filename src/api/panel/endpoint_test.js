// The report of a test of a destination, step by step.

import { el } from "./dom.js";
import { ms, rtt } from "./format.js";
import { badge } from "./state.js";
import { words } from "./words.js";

/** RTTs that a latency should hold: enough for a lost packet and its repetition to be lost once more. */
const LATENCY_RTTS = 4;

const LOOK = { ok: "ok", failed: "bad", skipped: "off" };

/** The report's elements; `connected` says that the endpoint holds its connection now. */
export function testReport(report, connected = false) {
  const verdict = badge();
  verdict.show(report.passed ? "ok" : "bad", report.passed ? words.test.passed : words.test.failed);
  const steps = report.steps.map((step) => {
    const result = badge();
    result.show(LOOK[step.result], words.test.results[step.result] ?? step.result);
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, words.test.steps[step.step] ?? step.step),
      el("td", {}, result.node),
      el("td", { class: "number" }, step.result === "skipped" ? "" : ms(step.durationMs, 1)),
      el("td", {}, step.text),
    );
  });
  const hint = report.rttMs
    ? el("p", { class: "muted" }, words.test.rtt(rtt(report.rttMs), Math.max(20, Math.ceil(report.rttMs * LATENCY_RTTS))))
    : null;
  const busy = connected && !report.passed ? el("p", { class: "muted" }, words.test.busy) : null;
  return [el("p", { class: "verdict" }, verdict.node), el("table", { class: "steps" }, el("tbody", {}, steps)), hint, busy].filter(Boolean);
}
