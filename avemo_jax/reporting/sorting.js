// Tables that sort by a column and that a word narrows; without JavaScript they are plain tables.
"use strict";
const key = (cell) => {
  const text = cell.textContent.trim();
  const number = text.match(/^[+-]?[0-9]+(\.[0-9]+)?/);
  return number ? Number(number[0]) : text === "-" || text === "not run" ? null : text.toLowerCase();
};
const compare = (a, b) => (typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1);
for (const table of document.querySelectorAll("table.lined")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "descending" ? 1 : -1;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
      const rows = [...body.rows].map((row) => [key(row.cells[column]), row]);
      // What has no value stays at the end in both directions.
      rows.sort(([a], [b]) => (a === null || b === null ? (a === null) - (b === null) : sign * compare(a, b)));
      body.append(...rows.map(([, row]) => row));
    });
  });
}
const filter = document.getElementById("filter");
const count = document.getElementById("count");
const rows = [...document.querySelector("table.lined").tBodies[0].rows];
filter.closest("p").hidden = false;
filter.addEventListener("input", () => {
  const words = filter.value.toLowerCase().split(/\s+/);
  for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
  count.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
});
