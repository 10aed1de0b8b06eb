// A figure: its panels side by side, a legend that switches curves in all of them, and what it shows in words.
function figureElement(data, number) {
  const hidden = new Set();
  const panels = data.panels.map((panel) => panelOf(panel, hidden));
  const wordsId = `words-${number}-${Math.random().toString(36).slice(2)}`;
  panels.forEach((panel, place) => {
    panel.div.setAttribute("aria-label", [data.title, data.panels[place].title, "chart"].filter(Boolean).join(": "));
    panel.div.setAttribute("aria-describedby", `${wordsId}-${place}`);
  });
  const words = element("details", {}, element("summary", {}, "In words"), element("ul", {},
    ...data.words.map((sentence, place) => element("li", { id: `${wordsId}-${place}` }, sentence))));
  const caption = [data.title, data.intervals].filter(Boolean).join("; ");
  return element("figure", panels.length === 1 ? { class: "single" } : {},
    caption ? element("figcaption", {}, caption) : null,
    legendOf(data, hidden, panels),
    element("div", { class: "panels", style: `--columns: ${data.columns}` }, ...panels.map((panel) => panel.element)),
    words);
}

function legendOf(data, hidden, panels) {
  const entries = new Map();
  for (const panel of data.panels)
    for (const series of panel.series) if (series.legend && !entries.has(series.name)) entries.set(series.name, series);
  if (!entries.size) return null;
  const items = [...entries.values()].map((series) => {
    const button = toggle(series.name, true, (on) => {
      if (on) hidden.delete(series.name); else hidden.add(series.name);
      for (const panel of panels) if (panel.plot.drawn) draw(panel.plot);
    });
    button.prepend(swatch(series));
    return element("li", {}, button);
  });
  return element("ul", { class: "legend", "aria-label": "Curves" }, ...items);
}

const DASHES = { solid: "", dash: "6 4", dot: "2 3", dashdot: "7 3 2 3" };
const SIGNS = { circle: "●", "triangle-up-open": "△", x: "✕", "": "" };

function swatch(series) {
  const look = `--light: ${series.colour[0]}; --dark: ${series.colour[1]}`;
  if (series.dash === "none") return element("span", { class: "sign", style: look, "aria-hidden": "true" }, SIGNS[series.marker]);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
  for (const [name, value] of Object.entries({ width: 28, height: 10, "aria-hidden": "true", style: look })) svg.setAttribute(name, value);
  for (const [name, value] of Object.entries({ x1: 0, x2: 28, y1: 5, y2: 5, "stroke-dasharray": DASHES[series.dash] })) line.setAttribute(name, value);
  svg.append(line);
  return svg;
}

function panelOf(panel, hidden) {
  const div = element("div", { class: "plot", role: "img" });
  const log = { x: panel.x.scale !== "linear", y: panel.y.scale !== "linear" };
  const plot = {
    div, zoom: 0, drawn: false,
    traces: () => panel.series.filter((series) => !hidden.has(series.name)).flatMap((series) => tracesOf(series, panel, log)),
    layout: () => ({
      ...baseLayout(), uirevision: `${log.x} ${log.y} ${plot.zoom}`,
      xaxis: axisLayout(panel.x, log.x, panel.series.flatMap((series) => series.x)),
      yaxis: axisLayout(panel.y, log.y, panel.series.flatMap((series) => series.y)),
    }),
  };
  const switches = ["x", "y"].map((name) => toggle(`log ${name}`, log[name], (on) => { log[name] = on; draw(plot); }));
  const controls = element("div", { class: "controls", role: "group", "aria-label": `Axes ${panel.title}` }, ...switches,
    element("button", { type: "button", "aria-label": "Zoom in", onclick: () => zoom(plot, 0.5) }, "+"),
    element("button", { type: "button", "aria-label": "Zoom out", onclick: () => zoom(plot, 2) }, "−"),
    element("button", { type: "button", onclick: () => { plot.zoom += 1; draw(plot); } }, "reset"));
  watchPlot(plot);
  const title = panel.title ? element("p", { class: "title" }, panel.title) : null;
  return { div, plot, element: element("div", { class: "panel" }, title, div, controls) };
}

function zoom(plot, factor) {
  if (!plot.drawn) return;
  const change = {};
  for (const name of ["xaxis", "yaxis"]) {
    const [low, high] = plot.div._fullLayout[name].range;
    const middle = (low + high) / 2;
    change[`${name}.range`] = [middle + (low - middle) * factor, middle + (high - middle) * factor];
  }
  Plotly.relayout(plot.div, change);
}

function tracesOf(series, panel, log) {
  const colour = series.colour[isDark() ? 1 : 0];
  const x = onAxis(series.x, panel.x, log.x);
  const y = onAxis(series.y, panel.y, log.y);
  const mode = [series.dash !== "none" && "lines", series.marker && "markers"].filter(Boolean).join("+") || "lines";
  const trace = {
    x, y, mode, name: plain(series.name), opacity: series.opacity,
    customdata: series.x.map((value, i) => [value, series.y[i], series.low ? series.low[i] : null, series.high ? series.high[i] : null]),
    hovertemplate: series.low
      ? "%{customdata[1]} [%{customdata[2]}, %{customdata[3]}] at %{customdata[0]}<extra>%{fullData.name}</extra>"
      : "%{customdata[1]} at %{customdata[0]}<extra>%{fullData.name}</extra>",
    line: { color: colour, width: series.width, dash: series.dash === "none" ? "solid" : series.dash },
    marker: { color: colour, symbol: series.marker || "circle", size: series.marker === "circle" ? 5 : 8 },
  };
  if (!series.low) return [trace];
  const positive = series.y.filter((value) => value > 0);
  const floor = log.y && positive.length ? Math.min(...positive) / 10 : -Infinity;
  const low = series.low.map((value) => (value === null ? null : Math.max(value, floor)));
  if (!series.bars) return [bandOf(x, low, series.high, colour), trace];
  const whole = series.y.map((_, i) => low[i] !== null && series.high[i] !== null);
  trace.error_y = {
    type: "data", symmetric: false, thickness: 1.2, width: 3, color: colour,
    array: series.y.map((value, i) => (whole[i] ? series.high[i] - value : 0)),
    arrayminus: series.y.map((value, i) => (whole[i] ? value - low[i] : 0)),
  };
  return [trace];
}

// A closed outline around each stretch that has both ends.
function bandOf(x, low, high, colour) {
  const outline = { x: [], y: [] };
  for (let start = 0; start < x.length; start++) {
    let end = start;
    while (end < x.length && low[end] !== null && high[end] !== null) end++;
    if (end === start) continue;
    const there = [...Array(end - start).keys()].map((i) => i + start);
    const back = [...there].reverse();
    outline.x.push(...there.map((i) => x[i]), ...back.map((i) => x[i]), null);
    outline.y.push(...there.map((i) => high[i]), ...back.map((i) => low[i]), null);
    start = end;
  }
  const fillcolor = `${colour}33`;
  return { ...outline, mode: "lines", fill: "toself", fillcolor, line: { width: 0, color: colour }, hoverinfo: "skip" };
}
