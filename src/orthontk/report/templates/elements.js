// Elements made of text, never of markup: what a run is called is shown as it is.
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

// A button that is on or off; `change` is told which.
function toggle(label, on, change) {
  const button = element("button", { type: "button", "aria-pressed": String(on) }, label);
  button.addEventListener("click", () => {
    const now = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(now));
    change(now);
  });
  return button;
}

// What is remembered between loads, where the browser allows a file to.
const memory = {
  get(key) {
    try { return sessionStorage.getItem(`orthontk ${key}`); } catch { return null; }
  },
  set(key, value) {
    try { sessionStorage.setItem(`orthontk ${key}`, value); } catch { /* then it is not remembered */ }
  },
};
