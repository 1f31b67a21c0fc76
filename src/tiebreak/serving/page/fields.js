// The fields for the prompt and the answers.

import { byId, hide, make, notice } from "./dom.js";
import { LETTERS } from "./format.js";

const TONES = 6; // colours of letters; the seventh answer has the first one's again

export const EXAMPLES = [
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

let onChange = () => {};

// Calls the listener when the texts change other than by typing.
export function onTextsChanged(listener) {
  onChange = listener;
}

const answerFields = () => [...byId("answers").querySelectorAll("textarea")];
const allFields = () => [byId("prompt"), ...answerFields()];

export const readTexts = () => ({ prompt: byId("prompt").value, answers: answerFields().map((field) => field.value) });

export const sameTexts = (one, other) =>
  one.prompt === other.prompt &&
  one.answers.length === other.answers.length &&
  one.answers.every((text, i) => text === other.answers[i]);

export const tone = (i) => i % TONES;

export function badge(i) {
  return make("span", { class: `badge tone-${tone(i)}`, "aria-hidden": "true" }, LETTERS[i]);
}

export function addAnswer(text = "") {
  const card = byId("answer").content.cloneNode(true).firstElementChild;
  card.querySelector("textarea").value = text;
  card.querySelector(".remove").addEventListener("click", () => removeAnswer(card));
  byId("answers").append(card);
  labelAnswers();
  return card.querySelector("textarea");
}

function removeAnswer(card) {
  const neighbour = card.nextElementSibling ?? card.previousElementSibling;
  card.remove();
  labelAnswers();
  neighbour.querySelector("textarea").focus(); // the focused button is gone
  onChange();
}

// Letters follow the order of the answers, so they change when answers are added or removed.
function labelAnswers() {
  const cards = [...byId("answers").children];
  cards.forEach((card, i) => {
    const field = card.querySelector("textarea");
    const error = card.querySelector(".error");
    field.id = `answer-${LETTERS[i]}`;
    error.id = `answer-${LETTERS[i]}-error`;
    field.setAttribute("aria-describedby", error.id);
    error.textContent = `Enter answer ${LETTERS[i]}${cards.length > 2 ? ", or remove it" : ""}.`;
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

export function writeTexts({ prompt, answers }) {
  byId("prompt").value = prompt;
  byId("answers").replaceChildren();
  answers.forEach((text) => addAnswer(text));
  showErrors([]);
}

// Replaces the texts, and offers to restore them if the reader has written any.
export function replaceTexts(texts, message) {
  const before = readTexts();
  const isEmpty = [before.prompt, ...before.answers].every((text) => !text.trim());
  const isExample = EXAMPLES.some((example) => sameTexts(example, before));
  writeTexts(texts);
  onChange();
  if (isEmpty || isExample) return hide("notice");
  notice(message, "Restore my texts", () => {
    writeTexts(before);
    onChange();
    hide("notice");
    byId("prompt").focus();
  });
}

function setError(field, isWrong) {
  isWrong ? field.setAttribute("aria-invalid", "true") : field.removeAttribute("aria-invalid");
  byId(field.getAttribute("aria-describedby")).hidden = !isWrong;
}

function showErrors(wrongFields) {
  for (const field of allFields()) setError(field, wrongFields.includes(field));
  wrongFields[0]?.focus();
}

export function clearError(field) {
  if (field.getAttribute("aria-invalid") && field.value.trim()) setError(field, false);
}

// Marks empty fields; returns whether there are none.
export function checkFilled() {
  const empty = allFields().filter((field) => !field.value.trim());
  showErrors(empty);
  return empty.length === 0;
}
