// The panel that shows an error: what is wrong, and what to do.

import { byId, hide } from "./dom.js";
import { SPACE, count } from "./format.js";
import { RequestError, hasKey } from "./server.js";

// Title, remedy, and whether a retry may help.
function explain(error) {
  if (!(error instanceof RequestError)) {
    return ["This page cannot show the server's response", "Reload the page: it may be older than the server.", false];
  }
  if (error.type === "out_of_memory") {
    return ["The texts do not fit into the judge's memory", "Shorten them, or judge fewer answers at once.", false];
  }
  switch (error.status) {
    case 0:
      return ["The server does not respond", "Check that tiebreak serve is running, and your network. Your texts are still here.", true];
    case 401:
      return hasKey()
        ? ["The server does not accept this API key", "Enter another one.", false]
        : ["This server requires an API key", "Ask the person who runs the server for one.", false];
    case 413:
      return ["The texts are too long for this server", "Shorten them, or judge fewer answers at once.", false];
    case 422:
      return ["The judge cannot process these texts", "Change the texts and judge again.", false];
    case 429:
      return ["The server is busy", error.seconds ? `Wait ${count(error.seconds, "second")}, then try again.` : "Wait a moment, then try again.", true];
    case 503:
      return ["The server is stopping or not ready yet", "Try again when it is back. Your texts are still here.", true];
    case 504:
      return ["Judging took too long, and the server stopped it", "Try again, with shorter texts or fewer answers if it happens again.", true];
    default:
      return [`Something went wrong on the server (${error.status})`, "Try again. If it happens again, see the server's log.", true];
  }
}

let timer = 0;
let retry = () => {};

// Repeats what failed last; returns it.
export function retryLast() {
  retry();
  return retry;
}

export function showProblem(error, action) {
  const [title, remedy, canRetry] = explain(error);
  const needsKey = error.status === 401;
  retry = action;
  byId("problem-title").textContent = title;
  byId("problem-text").textContent = needsKey ? "" : error.message; // with status 401 the message is about HTTP headers
  byId("problem-text").hidden = !byId("problem-text").textContent;
  byId("problem-remedy").textContent = remedy;
  byId("key-form").hidden = !needsKey;
  byId("retry").hidden = !canRetry;
  byId("problem").hidden = false;
  countDown(error.seconds ?? 0);
  if (needsKey) {
    byId("key").value = "";
    byId("key").focus();
  }
  byId("problem").scrollIntoView({ block: "nearest" });
}

// Only the button counts down: a screen reader would repeat an alert that changes every second.
function countDown(seconds) {
  clearInterval(timer);
  const until = Date.now() + 1000 * seconds;
  const tick = () => {
    const left = Math.ceil((until - Date.now()) / 1000);
    byId("retry").textContent = left > 0 ? `Try again (in ${left}${SPACE}s)` : "Try again";
    if (left <= 0) clearInterval(timer);
  };
  tick();
  if (seconds) timer = setInterval(tick, 250);
}

export function clearProblem() {
  clearInterval(timer);
  hide("problem");
}
