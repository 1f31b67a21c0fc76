// Numbers and sentences.

export const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
export const SPACE = "\u00a0"; // keeps a number and its unit on one line
export const OUTCOMES = ["model_a", "model_b", "tie"];

const NAMES = { model_a: "A", model_b: "B", tie: "a tie" };
const integer = new Intl.NumberFormat("en");

export function percent(share, digits = 1) {
  const smallest = 0.5 * 10 ** (-2 - digits);
  const unit = 10 ** -digits;
  if (share > 0 && share < smallest) return `<${SPACE}${unit}${SPACE}%`;
  if (share < 1 && share >= 1 - smallest) return `>${SPACE}${100 - unit}${SPACE}%`;
  return `${(100 * share).toFixed(digits)}${SPACE}%`;
}

export const reward = (value) => value.toFixed(2).replace("-", "−");
export const count = (n, noun) => `${integer.format(n)}${SPACE}${noun}${n === 1 ? "" : "s"}`;
const list = (words) => new Intl.ListFormat("en").format(words);

const mostLikely = (p) => OUTCOMES.reduce((best, outcome) => (p[outcome] > p[best] ? outcome : best));

export function verdictSentence({ verdict, probabilities }) {
  const share = percent(probabilities[verdict], 0);
  return verdict === "tie"
    ? `People would most likely call it a tie (${share})`
    : `People would most likely prefer ${NAMES[verdict]} (${share})`;
}

export function confidenceSentence({ verdict, probabilities: p }) {
  const second = OUTCOMES.filter((outcome) => outcome !== verdict).reduce((a, b) => (p[b] > p[a] ? b : a));
  const lead = p[verdict] - p[second];
  const confidence = lead < 0.1 ? "Nearly undecided" : lead < 0.4 ? "Low confidence" : lead < 0.8 ? "Medium confidence" : "High confidence";
  return `${confidence}: the second most likely outcome is ${NAMES[second]} (${percent(p[second])}).`;
}

export function ordersSentence({ orders, disagreement }) {
  const [given, swapped] = [mostLikely(orders.as_given), mostLikely(orders.swapped)];
  const points = `${(100 * disagreement).toFixed(1)}${SPACE}points`;
  if (given !== swapped) {
    return `The two orders differ by ${points} and in their verdict: with A read first it is ${NAMES[given]}, with B read ` +
      `first ${NAMES[swapped]}. The judge depends on the order here, so this verdict is unreliable.`;
  }
  if (disagreement < 0.0005) return "The two orders agree: it makes no difference which answer is read first.";
  if (disagreement < 0.05) return `The two orders differ by ${points}: it hardly matters which answer is read first.`;
  if (disagreement < 0.15) return `The two orders differ by ${points}: it matters a little which answer is read first.`;
  return `The two orders differ by ${points}: it matters which answer is read first, so this verdict is less reliable.`;
}

export function rewardsSentence([a, b], calibrated) {
  const gap = Math.abs(a - b);
  if (gap < 0.005) return "The two rewards are equal.";
  const [better, worse] = a > b ? ["A", "B"] : ["B", "A"];
  const lead = `The reward of ${better} is higher by ${gap.toFixed(2)}.`;
  if (calibrated) return lead; // the calibration map changes the odds below
  const odds = Math.exp(gap);
  const times = odds > 1000 ? "over 1,000 times" : odds < 10 ? `${odds.toFixed(1)} times` : `${Math.round(odds)} times`;
  return `${lead} Ties aside, ${better} would be preferred ${times} as often as ${worse}.`;
}

export function rankingSentence(response) {
  const first = response.ranking.filter(({ rank }) => rank === 1).map(({ index }) => LETTERS[index]);
  if (first.length > 1) return `${list(first)} share the first place`;
  const [top, ...others] = response.ranking;
  const close = others.filter((other) => top.reward - other.reward < 0.2).map(({ index }) => LETTERS[index]); // 55 to 45
  const best = LETTERS[response.best];
  return close.length ? `${best} comes first, with ${list(close)} close behind` : `People would most likely prefer ${best}`;
}
