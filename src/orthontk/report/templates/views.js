// Views by the part of the address after #: "" (overview), study/NAME, runs, run/NUMBER.
const views = [...document.querySelectorAll(".view")];
let current = null;

async function show(moveFocus) {
  const route = location.hash.slice(1);
  const run = route.match(/^run\/(\d+)$/);
  const name = run ? "run" : views.some((view) => view.dataset.view === route) ? route : "";
  if (route === current) return;
  current = route;
  forgetPlots();
  for (const view of views) view.hidden = !(view.dataset.view === name || (name === "" && view.dataset.view === "runs"));
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash.slice(1) === name) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
  const view = views.find((one) => one.dataset.view === name);
  if (run) await showRun(view, run[1]);
  for (const place of view.querySelectorAll("[data-packed]")) {
    const data = await unpackedJSON(place.dataset.packed);
    if (current !== route) return;
    place.replaceChildren(figureElement(data, place.dataset.packed));
  }
  document.title = `${view.querySelector("h1, h2").textContent}: report`;
  if (moveFocus) {
    view.querySelector("h1, h2").focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

// A page that is being watched loads itself again, unless somebody is typing in it, or it was switched off.
function startReloading() {
  const settings = JSON.parse(document.getElementById("settings").textContent);
  if (!settings.reload) return;
  const button = document.getElementById("reload");
  let on = memory.get("reload") !== "off";
  button.setAttribute("aria-pressed", String(on));
  button.addEventListener("click", () => {
    on = !on;
    button.setAttribute("aria-pressed", String(on));
    memory.set("reload", on ? "on" : "off");
  });
  setInterval(() => {
    const typing = document.activeElement?.matches("input[type=search]");
    if (on && !typing && !document.hidden) location.reload();
  }, settings.reload * 1000);
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  views.find((view) => !view.hidden).querySelector("h1, h2").focus();
});
startTheme();
startTable();
startReloading();
addEventListener("hashchange", () => show(true).catch(report));
show(false).catch(report);
requestIdleCallback(() => { if (plots.size) loadPlotly().catch(report); }); // so that it is there when the page is printed
