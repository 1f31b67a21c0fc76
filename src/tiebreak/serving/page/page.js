// The page of a judge's server. What people write is put into the page as text alone, never as HTML, and is kept
// nowhere: it lives in the fields, and in a link where one is asked for (whose fragment no browser sends to a server).

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const TONES = 6; // colours for letters; the seventh answer takes the first one's again
const KEY = "tiebreak-api-key";
const LONG_LINK = 8000; // characters; mail programs and chats begin to cut links somewhere above 2,000

const EXAMPLES = [
  { name: "A sum", prompt: "1 + 1 = ?", answers: ["2", "The answer is 3."] },
  { name: "Both right", prompt: "3 + 3 = ?", answers: ["6", "The answer is 6."] },
  { name: "Four answers", prompt: "7 + 5 = ?", answers: ["13", "12", "The answer is 57.", "The answer is 12."] },
  {
    name: "Prose",
    prompt: "Why is the sky blue? Explain it to a ten-year-old.",
    answers: [
      "Sunlight looks white, but it is a mix of all colours. When it meets the air, the tiny bits of air bounce blue " +
        "light around much more than red light. So blue comes at you from every side, and the whole sky looks blue. In " +
        "the evening the light has a longer way through the air; most of the blue is gone by then, and you see red.",
      "The sky is blue because it reflects the ocean. Since most of the Earth is covered by water, the colour of the " +
        "water shows in the sky.",
    ],
  },
];

const byId = (id) => document.getElementById(id);

// An element with attributes and children; children are elements or texts.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// --- Words and numbers --------------------------------------------------------------------------------------------

const whole = new Intl.NumberFormat("en");
const SPACE = "\u00a0"; // a number keeps its unit on its line

function percent(share, digits = 1) {
  const least = 0.5 * 10 ** (-2 - digits);
  const one = 10 ** -digits;
  if (share > 0 && share < least) return `<${SPACE}${one}${SPACE}%`;
  if (share < 1 && share >= 1 - least) return `>${SPACE}${100 - one}${SPACE}%`;
  return `${(100 * share).toFixed(digits)}${SPACE}%`;
}

const reward = (value) => value.toFixed(2).replace("-", "−");
const count = (n, noun) => `${whole.format(n)}${SPACE}${noun}${n === 1 ? "" : "s"}`;
const list = (words) => new Intl.ListFormat("en").format(words);

const NAMES = { model_a: "A", model_b: "B", tie: "a tie" };
const OUTCOMES = Object.keys(NAMES);
const likeliest = (p) => OUTCOMES.reduce((best, outcome) => (p[outcome] > p[best] ? outcome : best));

function verdictInWords({ verdict, probabilities }) {
  const sure = percent(probabilities[verdict], 0);
  return verdict === "tie"
    ? `People would most likely call it a tie (${sure})`
    : `People would most likely prefer ${NAMES[verdict]} (${sure})`;
}

function strengthInWords({ verdict, probabilities: p }) {
  const next = OUTCOMES.filter((outcome) => outcome !== verdict).reduce((a, b) => (p[b] > p[a] ? b : a));
  const lead = p[verdict] - p[next];
  const strength = lead < 0.1 ? "A close call" : lead < 0.4 ? "Likely, not certain" : lead < 0.8 ? "Fairly sure" : "Very sure";
  return `${strength}: next comes ${NAMES[next]} with ${percent(p[next])}.`;
}

function ordersInWords({ orders, disagreement }) {
  const [given, swapped] = [likeliest(orders.as_given), likeliest(orders.swapped)];
  const points = `${(100 * disagreement).toFixed(1)}${SPACE}points`;
  if (given !== swapped) {
    return `The two orders differ by ${points} and in their verdict: with A read first it is ${NAMES[given]}, with B read ` +
      `first ${NAMES[swapped]}. The judge minds the order here; trust this verdict less.`;
  }
  if (disagreement < 0.0005) return "The two orders say the same: it makes no difference which answer is read first.";
  if (disagreement < 0.05) return `The two orders differ by ${points}: it hardly matters which answer is read first.`;
  if (disagreement < 0.15) return `The two orders differ by ${points}: it matters a little which answer is read first.`;
  return `The two orders differ by ${points}: the judge minds which answer is read first; trust this verdict less.`;
}

function rewardsInWords([a, b], calibrated) {
  const gap = Math.abs(a - b);
  if (gap < 0.005) return "The two rewards are equal.";
  const [better, worse] = a > b ? ["A", "B"] : ["B", "A"];
  const ahead = `${better} is ahead by ${gap.toFixed(2)}.`;
  if (calibrated) return ahead; // the map of calibration stands between rewards and probabilities then
  const odds = Math.exp(gap);
  const times = odds > 1000 ? "over 1,000 times" : odds < 10 ? `${odds.toFixed(1)} times` : `${Math.round(odds)} times`;
  return `${ahead} Ties aside, ${better} would be preferred ${times} as often as ${worse}.`;
}

// --- The fields ---------------------------------------------------------------------------------------------------

const fields = () => [...byId("answers").querySelectorAll("textarea")];
const read = () => ({ prompt: byId("prompt").value, answers: fields().map((field) => field.value) });
const sameTexts = (one, other) =>
  one.prompt === other.prompt &&
  one.answers.length === other.answers.length &&
  one.answers.every((text, i) => text === other.answers[i]);

function badge(i) {
  return make("span", { class: `badge tone-${i % TONES}`, "aria-hidden": "true" }, LETTERS[i]);
}

function addAnswer(text = "") {
  const card = byId("answer").content.cloneNode(true).firstElementChild;
  card.querySelector("textarea").value = text;
  card.querySelector(".remove").addEventListener("click", () => removeAnswer(card));
  byId("answers").append(card);
  nameAnswers();
  return card.querySelector("textarea");
}

function removeAnswer(card) {
  const left = card.nextElementSibling ?? card.previousElementSibling;
  card.remove();
  nameAnswers();
  left.querySelector("textarea").focus(); // or the focus would be lost with the button
  textsChanged();
}

// Letters follow the order of the answers, so they are given again whenever that changes.
function nameAnswers() {
  const cards = [...byId("answers").children];
  cards.forEach((card, i) => {
    const field = card.querySelector("textarea");
    const wrong = card.querySelector(".wrong");
    field.id = `answer-${LETTERS[i]}`;
    wrong.id = `answer-${LETTERS[i]}-wrong`;
    field.setAttribute("aria-describedby", wrong.id);
    wrong.textContent = `Write answer ${LETTERS[i]}${cards.length > 2 ? ", or remove it" : ""}.`;
    card.querySelector(".badge").replaceWith(badge(i));
    const label = card.querySelector("label");
    label.htmlFor = field.id;
    label.textContent = `Answer ${LETTERS[i]}`;
    const remove = card.querySelector(".remove");
    remove.hidden = cards.length <= 2;
    remove.setAttribute("aria-label", `Remove answer ${LETTERS[i]}`);
  });
  const many = cards.length > 2;
  byId("swap").hidden = many;
  byId("judge-label").textContent = many ? "Rank" : "Judge";
  byId("add").disabled = cards.length === LETTERS.length;
}

function write({ prompt, answers }) {
  byId("prompt").value = prompt;
  byId("answers").replaceChildren();
  answers.forEach((text) => addAnswer(text));
  complain([]);
}

// Puts other texts into the fields, and offers the way back where somebody's own would be lost.
function replaceTexts(texts, what) {
  const before = read();
  const nobodys = [before.prompt, ...before.answers].every((text) => !text.trim()) ||
    EXAMPLES.some((example) => sameTexts(example, before));
  write(texts);
  textsChanged();
  if (nobodys) return hide("notice");
  notice(what, "Put my texts back", () => {
    write(before);
    textsChanged();
    hide("notice");
    byId("prompt").focus();
  });
}

function complain(wrong) {
  for (const field of [byId("prompt"), ...fields()]) {
    const bad = wrong.includes(field);
    bad ? field.setAttribute("aria-invalid", "true") : field.removeAttribute("aria-invalid");
    byId(field.getAttribute("aria-describedby")).hidden = !bad;
  }
  wrong[0]?.focus();
}

function isFilled() {
  const empty = [byId("prompt"), ...fields()].filter((field) => !field.value.trim());
  complain(empty);
  return empty.length === 0;
}

function textsChanged() {
  if (location.hash.startsWith("#c=") && !sameTexts(read(), linked ?? {})) {
    history.replaceState(null, "", location.pathname + location.search); // the address tells no other texts than the page
  }
  markOld();
}

// --- Links --------------------------------------------------------------------------------------------------------

let linked = null; // the comparison that the address holds

function encode(comparison) {
  const bytes = new TextEncoder().encode(JSON.stringify(comparison));
  const binary = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

function decode(text) {
  const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (sign) => sign.charCodeAt(0));
  const { prompt, answers } = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  const sound = typeof prompt === "string" && Array.isArray(answers) && answers.every((answer) => typeof answer === "string");
  if (!sound || answers.length < 2 || answers.length > LETTERS.length) throw new TypeError("not a comparison");
  return { prompt, answers };
}

async function copyLink() {
  const link = new URL(`#c=${encode(read())}`, location.href).href;
  const long = link.length > LONG_LINK ? ` It has ${count(link.length, "character")}; some programs cut links that long.` : "";
  try {
    await navigator.clipboard.writeText(link);
    hide("link-field");
    notice(`Link copied. Whoever opens it sees these texts and has them judged.${long}`);
  } catch {
    // Browsers keep the clipboard from pages that come by plain HTTP from another machine, and people may forbid it.
    byId("link-text").value = link;
    byId("link-field").hidden = false;
    byId("link-text").focus();
    byId("link-text").select();
    notice(`The browser does not let this page copy: the link is below, to copy by hand.${long}`);
  }
}

function followLink() {
  if (!location.hash || document.querySelector(`[id="${CSS.escape(location.hash.slice(1))}"]`)) return;
  try {
    if (!location.hash.startsWith("#c=")) throw new TypeError("not a link of this page");
    linked = decode(location.hash.slice(3));
  } catch {
    notice("This link is broken: the comparison in it cannot be read. Ask for it again, or paste the texts here.");
    return;
  }
  replaceTexts(linked, "The texts of the link are here now.");
  judge();
}

// --- Remarks ------------------------------------------------------------------------------------------------------

const hide = (id) => void (byId(id).hidden = true);

// For screen readers: what has come about, in a sentence.
function say(text) {
  byId("said").textContent = "";
  requestAnimationFrame(() => void (byId("said").textContent = text)); // the same words again are news again
}

function notice(text, way, take) {
  const place = byId("notice");
  place.replaceChildren(make("span", {}, text));
  if (way) {
    const button = make("button", { type: "button", class: "inline" }, way);
    button.addEventListener("click", take);
    place.append(button);
  }
  place.hidden = false;
}

// A remark of a moment ago; the way back to one's own texts stays.
function hideNews() {
  if (!byId("notice").querySelector("button")) hide("notice");
}

// --- The server ---------------------------------------------------------------------------------------------------

// No judgement, and why: what the server said with a status that is not 200, or 0 where nobody answered.
class Refusal extends Error {
  constructor(status, { message = "", type = "", seconds = null } = {}) {
    super(message);
    this.status = status;
    this.type = type;
    this.seconds = seconds; // after which it may be tried again
  }
}

let key = "";
try {
  key = sessionStorage.getItem(KEY) ?? "";
} catch {
  // a browser that keeps nothing: the key lives as long as the page
}

function keepKey(value) {
  key = value;
  byId("forget").hidden = !value;
  try {
    value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY);
  } catch {
    // as above
  }
}

async function answered(path, options) {
  try {
    const response = await fetch(path, options);
    return { response, text: await response.text() };
  } catch (problem) {
    throw problem.name === "AbortError" ? problem : new Refusal(0);
  }
}

// Raises: Refusal; AbortError where it was cancelled.
async function call(path, body, signal) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  const options = body ? { method: "POST", body: JSON.stringify(body), headers: { ...headers, "Content-Type": "application/json" } } : { headers };
  const { response, text } = await answered(path, { ...options, signal, cache: "no-store" });
  let content = null;
  try {
    content = JSON.parse(text);
  } catch {
    // a proxy's page, say
  }
  if (!response.ok) {
    const seconds = Number.parseFloat(response.headers.get("Retry-After") ?? "");
    throw new Refusal(response.status, { ...content?.error, seconds: Number.isFinite(seconds) ? Math.ceil(seconds) : null });
  }
  if (content === null) throw new Refusal(response.status, { message: "What answered here is not a judge." });
  return content;
}

// Title, what to do, and whether to offer the same again.
function inWords(problem) {
  if (!(problem instanceof Refusal)) {
    return ["This page cannot show what the server answered", "Load the page anew: it may be older than the server.", false];
  }
  if (problem.type === "out_of_memory") {
    return ["The texts do not fit into the judge's memory", "Shorten them, or judge fewer answers at once.", false];
  }
  switch (problem.status) {
    case 0:
      return ["The server does not answer", "Is tiebreak serve still running, and the network there? Your texts are still here.", true];
    case 401:
      return key
        ? ["The server does not take this API key", "Enter another one.", false]
        : ["This server asks for an API key", "Whoever runs the server gives them out.", false];
    case 413:
      return ["The texts are too long for this server", "Shorten them, or judge fewer answers at once.", false];
    case 422:
      return ["The judge cannot take this", "Change the texts and judge again.", false];
    case 429:
      return ["The judge has too much to do", problem.seconds ? `Wait ${count(problem.seconds, "second")}, then try again.` : "Wait a moment, then try again.", true];
    case 503:
      return ["The server is stopping or not ready yet", "Try again when it is back. Your texts are still here.", true];
    case 504:
      return ["Judging took too long, and the server gave it up", "Try again, with shorter texts or fewer answers if it happens again.", true];
    default:
      return [`Something went wrong at the server (${problem.status})`, "Try again; if it happens again, its log says more.", true];
  }
}

let ticking = 0;
let wanted = () => {}; // what to do again

function showProblem(problem, again) {
  const [title, remedy, offer] = inWords(problem);
  wanted = again;
  byId("problem-title").textContent = title;
  byId("problem-text").textContent = problem.status === 401 ? "" : problem.message; // that one speaks to programs
  byId("problem-text").hidden = !byId("problem-text").textContent;
  byId("problem-remedy").textContent = remedy;
  byId("key-form").hidden = problem.status !== 401;
  byId("again").hidden = !offer;
  byId("problem").hidden = false;
  countDown(problem.seconds ?? 0);
  if (problem.status === 401) {
    byId("key").value = "";
    byId("key").focus();
  }
  byId("problem").scrollIntoView({ block: "nearest" });
}

// The button alone counts: a screen reader that hears of a problem should not hear it again every second.
function countDown(seconds) {
  clearInterval(ticking);
  const until = Date.now() + 1000 * seconds;
  const tick = () => {
    const left = Math.ceil((until - Date.now()) / 1000);
    byId("again").textContent = left > 0 ? `Try again (in ${left}${SPACE}s)` : "Try again";
    if (left <= 0) clearInterval(ticking);
  };
  tick();
  if (seconds) ticking = setInterval(tick, 250);
}

function clearProblem() {
  clearInterval(ticking);
  hide("problem");
}

let running = null; // the AbortController of the request under way

function setBusy(busy) {
  byId("comparison").classList.toggle("busy", busy);
  byId("judge").setAttribute("aria-disabled", String(busy)); // disabled would take the focus away
  byId("result").setAttribute("aria-busy", String(busy));
  if (!busy && document.activeElement === byId("cancel")) byId("judge").focus();
  byId("cancel").hidden = !busy;
}

async function judge() {
  if (!isFilled()) return;
  running?.abort();
  const mine = (running = new AbortController());
  const asked = read();
  const ranks = asked.answers.length > 2;
  setBusy(true);
  clearProblem();
  hideNews();
  say("Judging.");
  try {
    const swap = byId("orders").checked && !model?.gives_rewards ? "average" : "none"; // rewards are the same in both
    const response = await call(ranks ? "v1/rank" : "v1/compare", { ...asked, swap }, mine.signal);
    if (running !== mine) return;
    show({ asked, response, ranks });
    if (!model) loadModel(); // the server was away when the page was opened
  } catch (problem) {
    if (running !== mine) return;
    if (problem.name === "AbortError") {
      notice("Cancelled. Nothing was changed.");
    } else {
      shown = null;
      hide("result");
      showProblem(problem, judge);
    }
  } finally {
    if (running === mine) {
      running = null;
      setBusy(false);
    }
  }
}

// --- The result ---------------------------------------------------------------------------------------------------

let shown = null; // what was asked and answered

function bar(share, tone) {
  const fill = make("i");
  fill.style.width = `${100 * share}%`;
  return make("span", { class: `bar tone-${tone}`, "aria-hidden": "true" }, fill);
}

function heading(words, ...remarks) {
  return make("div", {}, make("h2", { id: "verdict" }, words), ...remarks.map((remark) => make("p", { class: "soft" }, remark)));
}

function part(title, ...children) {
  return make("div", { class: "part" }, make("h3", {}, title), ...children);
}

const TONE = { model_a: 0, model_b: 1, tie: "tie" };
const LABEL = { model_a: "A", model_b: "B", tie: "Tie" };

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
  const head = make("tr", {}, make("th", { scope: "col" }, make("span", { class: "unseen" }, "Outcome")),
    make("th", { scope: "col" }, "A read first"), make("th", { scope: "col" }, "B read first"));
  const table = make("table", { class: "orders", id: "both-orders" }, make("caption", {}, "Both orders"), make("thead", {}, head), make("tbody", {}, ...rows));
  return make("div", { class: "part" }, table, make("p", { class: "soft", id: "disagreement" }, ordersInWords(response)));
}

function rewardNumbers({ rewards, calibrated }) {
  const numbers = rewards.map((value, i) =>
    make("li", {}, make("span", { class: `badge wide tone-${i}` }, LETTERS[i]), make("span", { class: "number" }, reward(value))));
  return part("Rewards", make("ul", { class: "rewards", id: "rewards", role: "list" }, ...numbers), make("p", { class: "soft" }, rewardsInWords(rewards, calibrated)));
}

// Rewards have no natural zero: a bar's length tells where it lies between the lowest and the highest, no more.
function shareOfHighest(values) {
  const [lowest, highest] = [Math.min(...values), Math.max(...values)];
  return values.map((value) => (highest === lowest ? 1 : 0.04 + (0.96 * (value - lowest)) / (highest - lowest)));
}

function tokens(lost, read) {
  const parts = [];
  if (lost > 0) {
    const cut = `${count(lost, "token")} ${lost === 1 ? "was" : "were"} cut`;
    parts.push(make("p", { class: "cut", id: "cut" }, `${cut}: the texts are longer than the judge reads, so this verdict is on a part of them.`));
  }
  if (read) parts.push(make("p", { class: "hint" }, `${count(read, "token")} read${lost > 0 ? "" : ", nothing cut"}.`));
  else if (!lost) parts.push(make("p", { class: "hint" }, "Nothing was cut."));
  return make("div", { class: "tokens" }, ...parts);
}

function comparisonView({ response }) {
  const left = part("How likely", probabilityBars(response.probabilities));
  const right = [];
  if (response.orders) right.push(ordersTable(response));
  if (response.rewards) right.push(rewardNumbers(response));
  const alone = response.rewards ? "This judge scores each answer by itself, so the order makes no difference." : "Judged in one order, A first. With both orders it also shows how much the order matters.";
  if (!response.orders) right.push(make("p", { class: "soft", id: "one-order" }, alone));
  return [
    heading(verdictInWords(response), strengthInWords(response)),
    make("div", { class: "halves" }, left, make("div", { class: "part" }, ...right)),
    tokens(response.tokens_lost, response.tokens_read),
  ];
}

function rankingInWords(response) {
  const first = response.ranking.filter(({ rank }) => rank === 1).map(({ index }) => LETTERS[index]);
  if (first.length > 1) return `${list(first)} share the first place`;
  const [top, ...others] = response.ranking;
  const close = others.filter((other) => top.reward - other.reward < 0.2).map(({ index }) => LETTERS[index]); // 55 to 45
  const best = LETTERS[response.best];
  return close.length ? `${best} comes first, with ${list(close)} close behind` : `People would most likely prefer ${best}`;
}

function rankingView({ asked, response }) {
  const shares = shareOfHighest(response.ranking.map((ranked) => ranked.reward));
  const normal = response.ranking.some(({ normalised }) => normalised !== null);
  const rows = response.ranking.map(({ index, rank, reward: value, normalised }, i) => {
    const number = make("span", {}, make("span", { class: "number" }, reward(value)));
    if (normalised !== null) number.append(make("span", { class: "hint" }, ` (${reward(normalised)}${SPACE}SD)`));
    return make("li", {},
      make("span", { class: "place" }, make("span", { class: "unseen" }, "Place "), String(rank)),
      make("span", {}, make("span", { class: "unseen" }, "Answer "), make("span", { class: `badge tone-${index % TONES}` }, LETTERS[index])),
      make("span", { class: "text", dir: "auto" }, asked.answers[index].slice(0, 400)),
      make("span", { class: "measure" }, bar(shares[i], index % TONES), number));
  });
  const how = response.comparisons
    ? `${count(response.comparisons, "pair")} judged. The rewards, in nats, compare the answers to this prompt with each other and with nothing else.`
    : "Each answer was scored by itself. In brackets: standard deviations around the mean of the answers that the judge was validated on.";
  const wins = "Who is higher by 1 is preferred e ≈ 2.7 times as often as the other, ties aside. Bars run from the lowest reward to the highest.";
  return [
    heading(rankingInWords(response), `${count(asked.answers.length, "answer")}, from the best to the worst.`),
    make("ol", { class: normal ? "ranking normalised" : "ranking", id: "ranking", role: "list" }, ...rows),
    make("p", { class: "hint" }, `${how} ${wins}`),
    tokens(response.tokens_lost),
  ];
}

function inOneSentence({ response, ranks }) {
  if (ranks) return `${rankingInWords(response)}. Order: ${response.ranking.map(({ index }) => LETTERS[index]).join(", ")}.`;
  const numbers = OUTCOMES.map((outcome) => `${LABEL[outcome]} ${percent(response.probabilities[outcome])}`).join(", ");
  return `${verdictInWords(response)}. ${numbers}.`;
}

function show(judged) {
  byId("result").replaceChildren(...(judged.ranks ? rankingView(judged) : comparisonView(judged)));
  byId("result").hidden = false;
  shown = judged;
  markOld();
  say(inOneSentence(judged));
  const { top } = byId("result").getBoundingClientRect();
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (top > innerHeight - 160) byId("result").scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "start" });
}

// A verdict stays when the texts are changed, and says that it is not on them.
function markOld() {
  if (!shown) return;
  const old = !sameTexts(read(), shown.asked);
  if (old === byId("result").classList.contains("old")) return;
  byId("result").classList.toggle("old", old);
  byId("result").querySelector(".stale")?.remove();
  if (old) byId("result").prepend(make("p", { class: "stale" }, "The texts have changed since this verdict."));
}

// --- Swapping -----------------------------------------------------------------------------------------------------

const mirrored = (p) => ({ model_a: p.model_b, model_b: p.model_a, tie: p.tie });

// What the server would say of B and A. Known without asking where both orders or two rewards made the verdict.
function mirroredResponse(response) {
  const { verdict, probabilities, orders, rewards } = response;
  return {
    ...response,
    verdict: { model_a: "model_b", model_b: "model_a", tie: "tie" }[verdict],
    probabilities: mirrored(probabilities),
    orders: orders && { as_given: mirrored(orders.swapped), swapped: mirrored(orders.as_given) },
    rewards: rewards && [...rewards].reverse(),
  };
}

function swap() {
  const before = read();
  const asked = { prompt: before.prompt, answers: [...before.answers].reverse() };
  const current = shown && !running && sameTexts(before, shown.asked);
  write(asked);
  if (current && (shown.response.orders || shown.response.rewards)) {
    show({ asked, response: mirroredResponse(shown.response), ranks: false });
  } else if (current) {
    judge();
  }
  textsChanged();
}

// --- The judge that is served -------------------------------------------------------------------------------------

let model = null;
const KINDS = {
  pairwise: "judge of pairs: it reads both answers together",
  pointwise: "reward model: it scores each answer by itself",
  classical: "classical judge: it counts words and lengths",
  blend: "blend: the weighted mean of several judges",
};

async function loadModel() {
  try {
    model = await call("v1/model");
  } catch (problem) {
    // Judging will meet the same problem and say it; a key is asked for at once, since nothing can be done without.
    if (problem.status === 401 && byId("problem").hidden && !running) showProblem(problem, loadModel);
    return;
  }
  const metrics = model.metrics ?? {};
  const facts = [
    ["Kind", KINDS[model.kind] ?? model.kind],
    ["Base model", model.base_model],
    ["Calibration", model.calibration],
    ["Log loss", Number.isFinite(metrics.loss) && `${metrics.loss.toFixed(4)} on its validation (a uniform guess has 1.0986)`],
    ["Accuracy", Number.isFinite(metrics.accuracy) && `${percent(metrics.accuracy)} on its validation`],
    ["Reads", model.limits?.tokens && `up to ${count(model.limits.tokens, "token")}; longer texts are cut, and it says how much`],
    ["Tiebreak", model.tiebreak],
  ].filter(([, value]) => value);
  byId("about-name").textContent = `: ${model.name}`;
  byId("about-facts").replaceChildren(...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, String(value))]));
  for (const id of ["orders-choice", "orders-why"]) byId(id).hidden = model.gives_rewards;
}

// --- What people do -----------------------------------------------------------------------------------------------

function cancel() {
  running?.abort();
}

byId("examples").append(...EXAMPLES.map((example) => {
  const button = make("button", { type: "button", class: "chip" }, example.name);
  button.addEventListener("click", () => replaceTexts(example, "The example is here now."));
  return button;
}));
byId("clear").addEventListener("click", () => {
  replaceTexts({ prompt: "", answers: ["", ""] }, "The fields are empty now.");
  clearProblem();
  hide("result");
  hide("link-field");
  shown = null;
  byId("prompt").focus();
});
byId("add").addEventListener("click", () => {
  addAnswer().focus();
  textsChanged();
});
byId("swap").addEventListener("click", swap);
byId("link").addEventListener("click", copyLink);
byId("cancel").addEventListener("click", cancel);
byId("again").addEventListener("click", () => wanted());
byId("comparison").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!running) judge();
});
byId("comparison").addEventListener("input", (event) => {
  if (event.target.getAttribute("aria-invalid") && event.target.value.trim()) {
    event.target.removeAttribute("aria-invalid");
    byId(event.target.getAttribute("aria-describedby")).hidden = true;
  }
  hide("link-field");
  hideNews();
  textsChanged();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.repeat && !byId("key-form").contains(event.target)) {
    event.preventDefault();
    judge();
  } else if (event.key === "Escape" && running) {
    cancel();
  }
});
byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const value = byId("key").value.trim();
  const sound = /^[\x21-\x7e]+$/.test(value); // what a header can carry
  byId("key-wrong").hidden = sound;
  if (!sound) return byId("key").focus();
  keepKey(value);
  clearProblem();
  byId("judge").focus();
  wanted();
  if (wanted !== loadModel && !model) loadModel();
});
byId("forget").addEventListener("click", () => {
  keepKey("");
  notice("The API key is forgotten.");
});
window.addEventListener("hashchange", followLink);

write({ prompt: "", answers: ["", ""] });
keepKey(key);
loadModel();
followLink();
