// The result: a verdict on two answers, or a ranking of more.

import { announce, byId, hide, make } from "./dom.js";
import { readTexts, sameTexts, tone } from "./fields.js";
import {
  LETTERS, OUTCOMES, SPACE, confidenceSentence, count, ordersSentence, percent, rankingSentence, reward, rewardsSentence, verdictSentence,
} from "./format.js";

const TONE = { model_a: 0, model_b: 1, tie: "tie" };
const LABEL = { model_a: "A", model_b: "B", tie: "Tie" };

let shown = null; // { texts, response, isRanking }
export const shownResult = () => shown;

function bar(share, toneName) {
  const fill = make("i");
  fill.style.width = `${100 * share}%`;
  return make("span", { class: `bar tone-${toneName}`, "aria-hidden": "true" }, fill);
}

function heading(title, ...remarks) {
  return make("div", {}, make("h2", { id: "verdict" }, title), ...remarks.map((remark) => make("p", { class: "soft" }, remark)));
}

function section(title, ...children) {
  return make("div", { class: "part" }, make("h3", {}, title), ...children);
}

function probabilityBars(probabilities) {
  const rows = OUTCOMES.map((outcome) =>
    make("li", { "data-outcome": outcome },
      make("span", {}, make("span", { class: `badge wide tone-${TONE[outcome]}` }, LABEL[outcome])),
      bar(probabilities[outcome], TONE[outcome]),
      make("span", { class: "number" }, percent(probabilities[outcome]))));
  return make("ul", { class: "bars", id: "probabilities", role: "list" }, ...rows);
}

function ordersTable(response) {
  const cell = (probabilities, outcome) =>
    make("td", {}, make("span", { class: "number" }, percent(probabilities[outcome])), bar(probabilities[outcome], TONE[outcome]));
  const { as_given: given, swapped } = response.orders;
  const rows = OUTCOMES.map((outcome) =>
    make("tr", {}, make("th", { scope: "row" }, LABEL[outcome]), cell(given, outcome), cell(swapped, outcome)));
  const head = make("tr", {}, make("th", { scope: "col" }, make("span", { class: "visually-hidden" }, "Outcome")),
    make("th", { scope: "col" }, "A read first"), make("th", { scope: "col" }, "B read first"));
  const table = make("table", { class: "orders", id: "both-orders" }, make("caption", {}, "Both orders"), make("thead", {}, head), make("tbody", {}, ...rows));
  return make("div", { class: "part" }, table, make("p", { class: "soft", id: "disagreement" }, ordersSentence(response)));
}

function rewardNumbers({ rewards, calibrated }) {
  const numbers = rewards.map((value, i) =>
    make("li", {}, make("span", { class: `badge wide tone-${i}` }, LETTERS[i]), make("span", { class: "number" }, reward(value))));
  return section("Rewards", make("ul", { class: "rewards", id: "rewards", role: "list" }, ...numbers), make("p", { class: "soft" }, rewardsSentence(rewards, calibrated)));
}

// Rewards have no natural zero: bars show positions between the lowest and the highest.
function barShares(values) {
  const [lowest, highest] = [Math.min(...values), Math.max(...values)];
  return values.map((value) => (highest === lowest ? 1 : 0.04 + (0.96 * (value - lowest)) / (highest - lowest)));
}

function tokenCounts(lost, read) {
  const parts = [];
  if (lost > 0) {
    const cut = `${count(lost, "token")} ${lost === 1 ? "was" : "were"} cut`;
    parts.push(make("p", { class: "cut", id: "cut" }, `${cut}: the texts are longer than the judge's limit, so it read only a part of them.`));
  }
  if (read) parts.push(make("p", { class: "hint" }, `${count(read, "token")} read${lost > 0 ? "" : ", nothing cut"}.`));
  else if (!lost) parts.push(make("p", { class: "hint" }, "Nothing was cut."));
  return make("div", { class: "tokens" }, ...parts);
}

function comparisonView({ response }) {
  const left = section("Probabilities", probabilityBars(response.probabilities));
  const right = [];
  if (response.orders) right.push(ordersTable(response));
  if (response.rewards) right.push(rewardNumbers(response));
  const reason = response.rewards ? "This judge scores each answer by itself, so the order makes no difference." : "Judged in one order, A first. With both orders, the result also shows how much the order matters.";
  if (!response.orders) right.push(make("p", { class: "soft", id: "one-order" }, reason));
  return [
    heading(verdictSentence(response), confidenceSentence(response)),
    make("div", { class: "halves" }, left, make("div", { class: "part" }, ...right)),
    tokenCounts(response.tokens_lost, response.tokens_read),
  ];
}

function rankingRow(texts, { index, rank, reward: value, normalised }, share) {
  const number = make("span", {}, make("span", { class: "number" }, reward(value)));
  if (normalised !== null) number.append(make("span", { class: "hint" }, ` (${reward(normalised)}${SPACE}SD)`));
  return make("li", {},
    make("span", { class: "place" }, make("span", { class: "visually-hidden" }, "Place "), String(rank)),
    make("span", {}, make("span", { class: "visually-hidden" }, "Answer "), make("span", { class: `badge tone-${tone(index)}` }, LETTERS[index])),
    make("span", { class: "text", dir: "auto" }, texts.answers[index].slice(0, 400)),
    make("span", { class: "measure" }, bar(share, tone(index)), number));
}

function rankingView({ texts, response }) {
  const shares = barShares(response.ranking.map((ranked) => ranked.reward));
  const hasNormalised = response.ranking.some(({ normalised }) => normalised !== null);
  const rows = response.ranking.map((ranked, i) => rankingRow(texts, ranked, shares[i]));
  const method = response.comparisons
    ? `${count(response.comparisons, "pair")} judged. The rewards, in nats, compare the answers to this prompt only.`
    : "Each answer was scored by itself. In brackets: standard deviations around the mean of the validation's answers.";
  const scale = "An answer with a reward higher by 1 is preferred e ≈ 2.7 times as often, ties aside. Bars range from the lowest reward to the highest.";
  return [
    heading(rankingSentence(response), `${count(texts.answers.length, "answer")}, from best to worst.`),
    make("ol", { class: hasNormalised ? "ranking normalised" : "ranking", id: "ranking", role: "list" }, ...rows),
    make("p", { class: "hint" }, `${method} ${scale}`),
    tokenCounts(response.tokens_lost),
  ];
}

function summary({ response, isRanking }) {
  if (isRanking) return `${rankingSentence(response)}. Order: ${response.ranking.map(({ index }) => LETTERS[index]).join(", ")}.`;
  const numbers = OUTCOMES.map((outcome) => `${LABEL[outcome]} ${percent(response.probabilities[outcome])}`).join(", ");
  return `${verdictSentence(response)}. ${numbers}.`;
}

export function showResult(result) {
  byId("result").replaceChildren(...(result.isRanking ? rankingView(result) : comparisonView(result)));
  byId("result").hidden = false;
  shown = result;
  markStale();
  announce(summary(result));
  const { top } = byId("result").getBoundingClientRect();
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (top > innerHeight - 160) byId("result").scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "start" });
}

export function clearResult() {
  shown = null;
  hide("result");
}

// A result stays when the texts change, with a remark.
export function markStale() {
  if (!shown) return;
  const isStale = !sameTexts(readTexts(), shown.texts);
  if (isStale === byId("result").classList.contains("outdated")) return;
  byId("result").classList.toggle("outdated", isStale);
  byId("result").querySelector(".stale")?.remove();
  if (isStale) byId("result").prepend(make("p", { class: "stale" }, "The texts have changed since this verdict."));
}

const swapOutcomes = (p) => ({ model_a: p.model_b, model_b: p.model_a, tie: p.tie });

// The server's response with A and B exchanged. Exact if both orders, or two rewards, made the verdict.
export function swapResponse(response) {
  const { verdict, probabilities, orders, rewards } = response;
  return {
    ...response,
    verdict: { model_a: "model_b", model_b: "model_a", tie: "tie" }[verdict],
    probabilities: swapOutcomes(probabilities),
    orders: orders && { as_given: swapOutcomes(orders.swapped), swapped: swapOutcomes(orders.as_given) },
    rewards: rewards && [...rewards].reverse(),
  };
}
