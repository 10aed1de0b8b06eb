// What the page holds packed: base64 of gzip, unpacked when it is first looked at.
async function unpack(id) {
  const bytes = fromBase64(document.getElementById(id).textContent);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

function fromBase64(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

const unpacked = new Map();
function unpackedJSON(id) {
  if (!unpacked.has(id)) unpacked.set(id, unpack(id).then(JSON.parse));
  return unpacked.get(id);
}

// Plotly, loaded once; `window.Plotly` is there when the promise is kept.
let plotly = null;
function loadPlotly() {
  plotly ??= unpack("plotly").then((code) => {
    const script = document.createElement("script");
    script.textContent = code;
    document.head.append(script);
  });
  return plotly;
}

function report(error) {
  const problem = document.getElementById("problem");
  problem.hidden = false;
  problem.textContent = `A part of this page cannot be shown: ${error.message}`;
  console.error(error);
}
