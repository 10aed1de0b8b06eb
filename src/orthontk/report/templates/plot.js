// One pair of axes, drawn by Plotly when it comes into view.
const plots = new Set(); // of the view that is shown
const TOOLBAR = 30; // pixels above the axes, which Plotly's buttons would cover otherwise
const PRINTED = { width: 330, height: 250, margin: { l: 40, r: 8, t: 8, b: 48 } }; // two in a row on A4
const ZERO = 0.5; // where a logarithmic axis of steps has its 0

const observer = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) loadPlotly().then(() => draw(entry.target.plot)).catch(report);
}, { rootMargin: "300px" });

function watchPlot(plot) {
  plot.div.plot = plot;
  plots.add(plot);
  observer.observe(plot.div);
}

function isShown(div) {
  return div.isConnected && div.offsetParent !== null;
}

function draw(plot) {
  if (!window.Plotly || !isShown(plot.div)) return;
  observer.unobserve(plot.div);
  const layout = { ...plot.layout(), ...(printing ? PRINTED : {}) };
  const config = {
    responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    toImageButtonOptions: { format: "svg" }, showSendToCloud: false, // nothing leaves the page
  };
  plot.drawn = true;
  Plotly.react(plot.div, plot.traces(), layout, config);
}

function redrawAll() {
  for (const plot of plots) if (plot.drawn) draw(plot);
}

function forgetPlots() {
  for (const plot of plots) {
    observer.unobserve(plot.div);
    if (plot.drawn) Plotly.purge(plot.div);
  }
  plots.clear();
}

// Plotly reads some markup in its texts; here they are texts.
function plain(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  const [text, grid] = printing ? ["#111", "#ccc"] : ["--text", "--line"].map((name) => style.getPropertyValue(name));
  return { text, grid };
}

function baseLayout() {
  const { text } = colours();
  return {
    autosize: true, height: 280 + TOOLBAR, margin: { l: 40, r: 8, t: TOOLBAR, b: 48 }, showlegend: false, hovermode: "closest",
    modebar: { bgcolor: "rgba(0,0,0,0)", color: text, activecolor: text },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: text, size: 12 },
  };
}

function axisLayout(axis, isLog, values) {
  const { text, grid } = colours();
  const layout = {
    title: { text: plain(axis.label), font: { size: 12 } }, automargin: true, type: isLog ? "log" : "linear",
    gridcolor: grid, linecolor: text, zeroline: false, ticks: "outside", showline: true,
    exponentformat: isLog && haveShortDecimals(values) ? "none" : "power",
  };
  const [low, high] = axis.ends;
  if (low !== null && high !== null && !isLog) layout.range = [low, high];
  else if (low !== null && !isLog) layout.rangemode = "tozero";
  if (isLog && axis.scale === "symlog") Object.assign(layout, stepTicks(values));
  else if (isLog && axis.ticks.length) layout.tickvals = axis.ticks;
  else if (isLog) layout.dtick = logTicks(decades(values));
  return layout;
}

// Powers of ten, or 1, 2 and 5 times them, or over a short stretch whatever Plotly finds.
function logTicks(count) {
  if (count > 2) return 1;
  return count > 0.6 ? "D2" : null;
}

// As in Matplotlib's figures.
function haveShortDecimals(values) {
  return values.every((value) => value <= 0 || (value >= 5e-4 && value <= 5e4));
}

function decades(values) {
  const positive = values.filter((value) => value > 0);
  return positive.length ? Math.log10(Math.max(...positive) / Math.min(...positive)) : 0;
}

// A logarithmic axis that begins with 0.
function stepTicks(values) {
  const largest = Math.max(1, ...values);
  const factors = Math.log10(largest) > 2 ? [1] : [1, 2, 5];
  const ticks = [];
  for (let power = 1; power <= largest; power *= 10) ticks.push(...factors.map((factor) => factor * power));
  const shown = ticks.filter((tick) => tick <= largest * 1.05);
  return { tickvals: [ZERO, ...shown], ticktext: ["0", ...shown.map((tick) => tick.toLocaleString("en"))] };
}

function onAxis(values, axis, isLog) {
  return isLog && axis.scale === "symlog" ? values.map((value) => (value === 0 ? ZERO : value)) : values;
}
