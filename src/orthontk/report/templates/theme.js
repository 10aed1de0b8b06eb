// Light or dark: as the system says until the button is pressed. Printed pages are light.
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");
let printing = false;

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return !printing && (chosen ? chosen === "dark" : systemIsDark.matches);
}

function showTheme() {
  document.getElementById("theme").setAttribute("aria-pressed", String(isDark()));
  redrawAll();
}

function startTheme() {
  if (memory.get("theme")) document.documentElement.dataset.theme = memory.get("theme");
  document.getElementById("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    memory.set("theme", document.documentElement.dataset.theme);
    showTheme();
  });
  systemIsDark.addEventListener("change", showTheme);
  showTheme();
  addEventListener("beforeprint", () => setPrinting(true));
  addEventListener("afterprint", () => setPrinting(false));
}

function setPrinting(now) {
  printing = now;
  for (const plot of plots) if (now && isShown(plot.div)) draw(plot);
  redrawAll();
}
