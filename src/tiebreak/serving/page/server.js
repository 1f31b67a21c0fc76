// Requests to the server, and the API key.

const STORED_KEY = "tiebreak-api-key";

// An error response, or status 0 without a response.
export class RequestError extends Error {
  constructor(status, { message = "", type = "", seconds = null } = {}) {
    super(message);
    this.status = status;
    this.type = type;
    this.seconds = seconds; // from Retry-After
  }
}

let key = "";
try {
  key = sessionStorage.getItem(STORED_KEY) ?? "";
} catch {
  // the browser refuses storage: the key is kept until the page is closed
}

export const hasKey = () => key !== "";

export function storeKey(value) {
  key = value;
  try {
    value ? sessionStorage.setItem(STORED_KEY, value) : sessionStorage.removeItem(STORED_KEY);
  } catch {
    // as above
  }
}

async function fetchText(path, options) {
  try {
    const response = await fetch(path, options);
    return { response, text: await response.text() };
  } catch (error) {
    throw error.name === "AbortError" ? error : new RequestError(0);
  }
}

// The JSON response. Throws RequestError, or AbortError after a cancellation.
export async function request(path, body, signal) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  const options = body ? { method: "POST", body: JSON.stringify(body), headers: { ...headers, "Content-Type": "application/json" } } : { headers };
  const { response, text } = await fetchText(path, { ...options, signal, cache: "no-store" });
  let content = null;
  try {
    content = JSON.parse(text);
  } catch {
    // the page of a proxy, for example
  }
  if (!response.ok) {
    const seconds = Number.parseFloat(response.headers.get("Retry-After") ?? "");
    throw new RequestError(response.status, { ...content?.error, seconds: Number.isFinite(seconds) ? Math.ceil(seconds) : null });
  }
  if (content === null) throw new RequestError(response.status, { message: "The response is not from a Tiebreak server." });
  return content;
}
