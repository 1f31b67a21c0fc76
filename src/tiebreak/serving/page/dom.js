// Elements of the page. Texts are always inserted as text nodes, never as HTML.

export const byId = (id) => document.getElementById(id);
export const hide = (id) => void (byId(id).hidden = true);

// Creates an element with attributes and children (elements or strings).
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Announces a sentence to screen readers.
export function announce(text) {
  byId("announcement").textContent = "";
  requestAnimationFrame(() => void (byId("announcement").textContent = text)); // announces repeated sentences too
}

// Shows a message above the fields, with an optional button.
export function notice(text, label, action) {
  const place = byId("notice");
  place.replaceChildren(make("span", {}, text));
  if (label) {
    const button = make("button", { type: "button", class: "inline" }, label);
    button.addEventListener("click", action);
    place.append(button);
  }
  place.hidden = false;
}

// Hides the message, unless it has a button: that one restores the reader's own texts.
export function dismissNotice() {
  if (!byId("notice").querySelector("button")) hide("notice");
}
