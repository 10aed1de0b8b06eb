// The table of runs: headings sort it, words and comparisons filter it.
function startTable() {
  const table = document.getElementById("runs");
  const names = [...table.tHead.rows[0].cells].map((cell) => [cell.textContent.trim(), cell.dataset.name]);
  const rows = [...table.tBodies[0].rows].map((row) => ({ row, cells: [...row.cells].map((cell) => cell.dataset.value || cell.textContent.trim()) }));
  const filter = document.getElementById("filter");
  const apply = () => {
    const tests = filter.value.trim().split(/\s+/).filter(Boolean).map((word) => testOf(word, names));
    let shown = 0;
    for (const { row, cells } of rows) {
      row.hidden = !tests.every((test) => test(cells));
      shown += row.hidden ? 0 : 1;
    }
    document.getElementById("filter-count").textContent = `${shown} of ${rows.length} rows`;
    memory.set("filter", filter.value);
  };
  filter.value = memory.get("filter") ?? "";
  filter.addEventListener("input", apply);
  document.getElementById("filter-form").addEventListener("submit", (event) => event.preventDefault());
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => sortBy(table, rows, column));
  });
  document.getElementById("all-settings")?.addEventListener("click", (event) => {
    const all = table.classList.toggle("all");
    event.currentTarget.setAttribute("aria-pressed", String(all));
  });
  const [column, direction] = (memory.get("sort") ?? "").split(" ");
  if (direction && Number(column) < names.length) sortBy(table, rows, Number(column), direction);
  apply();
}

// `width>=64` compares the column of that name, spaces left out; anything else has to be in the row.
function testOf(word, names) {
  const [, name, sign, wanted] = word.match(/^([^<>=]+)(<=|>=|=|<|>)(.+)$/) ?? [];
  const column = names.findIndex(([shown, full]) => [shown, full, shown.replaceAll(" ", "")].includes(name));
  if (!sign || column < 0) return (cells) => cells.join(" ").toLowerCase().includes(word.toLowerCase());
  if (sign === "=") return (cells) => cells[column].toLowerCase() === wanted.toLowerCase() || (cells[column] !== "" && Number(cells[column]) === Number(wanted));
  const compare = { "<": (a, b) => a < b, ">": (a, b) => a > b, "<=": (a, b) => a <= b, ">=": (a, b) => a >= b }[sign];
  return (cells) => cells[column] !== "" && compare(Number(cells[column]), Number(wanted));
}

function sortBy(table, rows, column, direction = null) {
  const headings = [...table.tHead.rows[0].cells];
  const now = direction ?? (headings[column].getAttribute("aria-sort") === "ascending" ? "descending" : "ascending");
  headings.forEach((heading, place) => heading.setAttribute("aria-sort", place === column ? now : "none"));
  const sign = now === "ascending" ? 1 : -1;
  rows.sort((one, other) => compareCells(one.cells[column], other.cells[column], sign));
  table.tBodies[0].append(...rows.map(({ row }) => row));
  memory.set("sort", `${column} ${now}`);
}

// Numbers by size, before texts; what is not there comes last in either direction.
function compareCells(one, other, sign) {
  if (one === "" || other === "") return (one === "") - (other === "");
  const numbers = [Number(one), Number(other)];
  if (numbers.every((value) => !Number.isNaN(value))) return sign * (numbers[0] - numbers[1]);
  return sign * one.localeCompare(other, "en", { numeric: true });
}
