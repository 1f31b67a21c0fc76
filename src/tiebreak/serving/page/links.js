// Links that contain a comparison, in the fragment: browsers do not send it to the server.

import { byId, hide, notice } from "./dom.js";
import { LETTERS, count } from "./format.js";

const PREFIX = "#c=";
const LONG_LINK = 8000; // characters; some mail programs and chats cut links longer than about 2,000

let linked = null; // the comparison in the page's address
export const linkedTexts = () => linked;

function encode(comparison) {
  const bytes = new TextEncoder().encode(JSON.stringify(comparison));
  const binary = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

function decode(text) {
  const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
  const { prompt, answers } = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  const isValid = typeof prompt === "string" && Array.isArray(answers) && answers.every((answer) => typeof answer === "string");
  if (!isValid || answers.length < 2 || answers.length > LETTERS.length) throw new TypeError("not a comparison");
  return { prompt, answers };
}

export async function copyLink(texts) {
  const link = new URL(`${PREFIX}${encode(texts)}`, location.href).href;
  const warning = link.length > LONG_LINK ? ` It has ${count(link.length, "character")}; some programs cut links of this length.` : "";
  try {
    await navigator.clipboard.writeText(link);
    hide("link-field");
    notice(`Link copied. It contains these texts, and judges them when it is opened.${warning}`);
  } catch {
    // Browsers refuse the clipboard to pages from other machines without HTTPS, and users may refuse it too.
    byId("link-text").value = link;
    byId("link-field").hidden = false;
    byId("link-text").focus();
    byId("link-text").select();
    notice(`The browser does not allow this page to copy. Copy the link below yourself.${warning}`);
  }
}

// The comparison in the address; null without one, or if it is broken, which is shown.
export function readLink() {
  if (!location.hash || document.querySelector(`[id="${CSS.escape(location.hash.slice(1))}"]`)) return null;
  try {
    if (!location.hash.startsWith(PREFIX)) throw new TypeError("not a link of this page");
    linked = decode(location.hash.slice(PREFIX.length));
    return linked;
  } catch {
    notice("This link is broken: its comparison cannot be read. Request it again, or paste the texts here.");
    return null;
  }
}

// Removes the comparison from the address, because the fields contain another one.
export function clearLink() {
  if (location.hash.startsWith(PREFIX)) history.replaceState(null, "", location.pathname + location.search);
}
