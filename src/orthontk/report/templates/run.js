// The page of one run, made when it is asked for.
async function showRun(view, number) {
  const id = `run-${number}`;
  if (!document.getElementById(id)) {
    view.replaceChildren(element("h1", { tabindex: -1 }, "No such run"), element("p", {}, element("a", { href: "#runs" }, "All runs")));
    return;
  }
  const data = await unpackedJSON(id);
  const copied = element("span", { role: "status" });
  const command = element("code", {}, data.command);
  view.replaceChildren(...[
    element("h1", { tabindex: -1 }, data.label),
    element("p", {}, data.status),
    element("h2", {}, "Run it again"),
    element("pre", { class: "command", tabindex: 0, role: "region", "aria-label": "Command" }, command),
    element("p", {}, element("button", { type: "button", onclick: () => copy(command, copied) }, "Copy the command"), " ", copied),
    ...data.figures.map(figureElement),
    data.heatmap ? element("h2", {}, "Kernel") : null,
    data.heatmap ? heatmapElement(data.heatmap) : null,
    element("h2", {}, "Settings"),
    element("dl", { class: "facts" }, ...Object.entries(data.facts).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)])),
    element("details", {}, element("summary", {}, "All settings (config.yaml)"), element("pre", { tabindex: 0 }, data.config)),
  ].filter(Boolean));
}

async function copy(source, told) {
  try {
    await navigator.clipboard.writeText(source.textContent);
    told.textContent = "Copied.";
  } catch {
    getSelection().selectAllChildren(source);
    told.textContent = "Selected; copy it with the keyboard.";
  }
}
