// The page of a judge's server: judging, and what buttons and keys do. Texts are stored nowhere but in the fields, and in
// a link that the reader copies.

import { announce, byId, dismissNotice, hide, make, notice } from "./dom.js";
import { EXAMPLES, addAnswer, checkFilled, clearError, onTextsChanged, readTexts, replaceTexts, sameTexts, writeTexts } from "./fields.js";
import { count, percent } from "./format.js";
import { clearLink, copyLink, linkedTexts, readLink } from "./links.js";
import { clearProblem, retryLast, showProblem } from "./problem.js";
import { clearResult, markStale, showResult, shownResult, swapResponse } from "./result.js";
import { hasKey, request, storeKey } from "./server.js";

// --- Judging ------------------------------------------------------------------------------------------------------

let running = null; // the AbortController of the current request
let model = null; // the response of v1/model

function setBusy(busy) {
  byId("comparison").classList.toggle("busy", busy);
  byId("judge").setAttribute("aria-disabled", String(busy)); // a disabled button would lose the focus
  byId("result").setAttribute("aria-busy", String(busy));
  if (!busy && document.activeElement === byId("cancel")) byId("judge").focus();
  byId("cancel").hidden = !busy;
}

async function judge() {
  if (!checkFilled()) return;
  running?.abort();
  const controller = (running = new AbortController());
  const texts = readTexts();
  const isRanking = texts.answers.length > 2;
  setBusy(true);
  clearProblem();
  dismissNotice();
  announce("Judging.");
  try {
    const swap = byId("orders").checked && !model?.gives_rewards ? "average" : "none"; // no difference to a reward model
    const response = await request(isRanking ? "v1/rank" : "v1/compare", { ...texts, swap }, controller.signal);
    if (running !== controller) return;
    showResult({ texts, response, isRanking });
    if (!model) loadModel(); // the server did not respond when the page was opened
  } catch (error) {
    if (running !== controller) return;
    if (error.name === "AbortError") {
      notice("Cancelled. Nothing was changed.");
    } else {
      clearResult();
      showProblem(error, judge);
    }
  } finally {
    if (running === controller) {
      running = null;
      setBusy(false);
    }
  }
}

function swap() {
  const before = readTexts();
  const texts = { prompt: before.prompt, answers: [...before.answers].reverse() };
  const shown = shownResult();
  const isCurrent = shown && !running && sameTexts(before, shown.texts);
  writeTexts(texts);
  if (isCurrent && (shown.response.orders || shown.response.rewards)) {
    showResult({ texts, response: swapResponse(shown.response), isRanking: false });
  } else if (isCurrent) {
    judge();
  }
  textsChanged();
}

function textsChanged() {
  if (!sameTexts(readTexts(), linkedTexts() ?? { answers: [] })) clearLink();
  markStale();
}

function followLink() {
  const texts = readLink();
  if (!texts) return;
  replaceTexts(texts, "The texts of the link have replaced yours.");
  judge();
}

// --- The served judge ---------------------------------------------------------------------------------------------

const KINDS = {
  pairwise: "pairwise judge: it reads both answers together",
  pointwise: "reward model: it scores each answer by itself",
  classical: "baseline: it uses words and lengths",
  blend: "blend: a weighted mean of several judges",
};

async function loadModel() {
  try {
    model = await request("v1/model");
  } catch (error) {
    // Other errors are shown when judging meets them. A missing key is shown at once: nothing works without it.
    if (error.status === 401 && byId("problem").hidden && !running) showProblem(error, loadModel);
    return;
  }
  const metrics = model.metrics ?? {};
  const facts = [
    ["Kind", KINDS[model.kind] ?? model.kind],
    ["Base model", model.base_model],
    ["Calibration", model.calibration],
    ["Log loss", Number.isFinite(metrics.loss) && `${metrics.loss.toFixed(4)} in validation (a uniform guess has 1.0986)`],
    ["Accuracy", Number.isFinite(metrics.accuracy) && `${percent(metrics.accuracy)} in validation`],
    ["Limit", model.limits?.tokens && `${count(model.limits.tokens, "token")}; longer texts are cut, and the result shows by how much`],
    ["Tiebreak", model.tiebreak],
  ].filter(([, value]) => value);
  byId("about-name").textContent = `: ${model.name}`;
  byId("about-facts").replaceChildren(...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, String(value))]));
  for (const id of ["orders-choice", "orders-hint"]) byId(id).hidden = model.gives_rewards;
}

function setKey(value) {
  storeKey(value);
  byId("forget").hidden = !hasKey();
}

// --- Buttons and keys ---------------------------------------------------------------------------------------------

byId("examples").append(...EXAMPLES.map((example) => {
  const button = make("button", { type: "button", class: "chip" }, example.name);
  button.addEventListener("click", () => replaceTexts(example, "The example has replaced your texts."));
  return button;
}));
byId("clear").addEventListener("click", () => {
  replaceTexts({ prompt: "", answers: ["", ""] }, "The fields are empty now.");
  clearProblem();
  clearResult();
  hide("link-field");
  byId("prompt").focus();
});
byId("add").addEventListener("click", () => {
  addAnswer().focus();
  textsChanged();
});
byId("swap").addEventListener("click", swap);
byId("link").addEventListener("click", () => copyLink(readTexts()));
byId("cancel").addEventListener("click", () => running?.abort());
byId("retry").addEventListener("click", retryLast);
byId("comparison").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!running) judge();
});
byId("comparison").addEventListener("input", (event) => {
  clearError(event.target);
  hide("link-field");
  dismissNotice();
  textsChanged();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.repeat && !byId("key-form").contains(event.target)) {
    event.preventDefault();
    judge();
  } else if (event.key === "Escape") {
    running?.abort();
  }
});
byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const value = byId("key").value.trim();
  const isValid = /^[\x21-\x7e]+$/.test(value); // what a header can contain
  byId("key-error").hidden = isValid;
  if (!isValid) return byId("key").focus();
  setKey(value);
  clearProblem();
  byId("judge").focus();
  if (retryLast() !== loadModel && !model) loadModel();
});
byId("forget").addEventListener("click", () => {
  setKey("");
  notice("The API key was removed from this tab.");
});
window.addEventListener("hashchange", followLink);

onTextsChanged(textsChanged);
writeTexts({ prompt: "", answers: ["", ""] });
byId("forget").hidden = !hasKey();
loadModel();
followLink();
