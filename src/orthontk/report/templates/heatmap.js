// The kernel at checkpoints, with a slider over them.
function heatmapElement(data) {
  const kernels = data.checkpoints.map((checkpoint) => ({ ...checkpoint, z: matrixOf(checkpoint, data.labels.length) }));
  let place = 0;
  let common = false;
  const div = element("div", { class: "plot square", role: "img", "aria-label": "Heatmap of the NTK", "aria-describedby": "kernel-words" });
  const words = element("p", { id: "kernel-words", "aria-live": "polite" });
  const step = element("output", { for: "checkpoint" });
  const plot = {
    div, drawn: false,
    traces: () => [heatmapTrace(kernels, place, common, data)],
    layout: () => {
      const ticks = classTicks(data.labels);
      const axis = (text) => ({ title: { text, font: { size: 12 } }, automargin: true, ...ticks, showgrid: false, zeroline: false });
      return {
        ...baseLayout(), height: 400 + TOOLBAR, xaxis: { ...axis("probe image, sorted by class"), constrain: "domain" },
        yaxis: { ...axis("class"), autorange: "reversed", scaleanchor: "x", constrain: "domain" },
      };
    },
  };
  const show = (now) => {
    place = now;
    step.textContent = `after ${kernels[place].step} step${kernels[place].step === 1 ? "" : "s"}`;
    words.textContent = kernels[place].words;
    slider.setAttribute("aria-valuetext", step.textContent);
    if (plot.drawn) draw(plot);
  };
  const slider = element("input", { type: "range", id: "checkpoint", min: 0, max: kernels.length - 1, step: 1, value: 0, oninput: () => show(Number(slider.value)) });
  watchPlot(plot);
  show(0);
  const rounding = data.block > 1 ? `means over ${data.block} × ${data.block} pairs of images; ` : "";
  return element("figure", { class: "heatmap" },
    element("figcaption", {}, `Θ(x, x′), mean over outputs; ${rounding}values are rounded to 1/255 of each kernel's range`),
    element("p", { class: "slider" }, element("label", { for: "checkpoint" }, "Checkpoint "), slider, " ", step),
    div, words,
    toggle("One colour scale for all checkpoints", false, (on) => { common = on; if (plot.drawn) draw(plot); }));
}

function heatmapTrace(kernels, place, common, data) {
  const shown = common ? kernels : [kernels[place]];
  return {
    type: "heatmap", z: kernels[place].z, colorscale: "Viridis", customdata: kernels[place].z.map((row, i) => row.map((_, j) => [data.labels[i], data.labels[j]])),
    zmin: Math.min(...shown.map((kernel) => kernel.low)), zmax: Math.max(...shown.map((kernel) => kernel.high)),
    hovertemplate: `%{z:.${kernels[place].digits}g} between a %{customdata[0]} and a %{customdata[1]}<extra></extra>`,
    colorbar: { thickness: 12, title: { text: "Θ(x, x′)", side: "right" } },
  };
}

// A symmetric matrix from the bytes of its upper triangle.
function matrixOf({ low, high, levels }, size) {
  const bytes = fromBase64(levels);
  const z = Array.from({ length: size }, () => new Array(size));
  let next = 0;
  for (let i = 0; i < size; i++)
    for (let j = i; j < size; j++) z[i][j] = z[j][i] = low + (bytes[next++] / 255) * (high - low);
  return z;
}

function classTicks(labels) {
  const starts = labels.map((_, i) => i).filter((i) => i === 0 || labels[i] !== labels[i - 1]);
  return { tickvals: starts, ticktext: starts.map((i) => String(labels[i])) };
}
