// A click on a column's title sorts its table; a second click turns the order round. What is not known stays last.
for (const table of document.querySelectorAll("table.sortable")) {
  for (const button of table.querySelectorAll("thead button")) {
    button.addEventListener("click", () => {
      const title = button.closest("th");
      const turn = title.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      const key = (row) => row.cells[title.cellIndex].dataset.sort ?? row.cells[title.cellIndex].textContent.trim();
      const order = (a, b) => {
        const lost = (text) => text === "" || text === "NaN";
        if (lost(a) || lost(b)) return lost(a) - lost(b);
        const number = (text) => Number(text.replace("inf", "Infinity"));
        const gap = number(a) - number(b);
        return turn * (Number.isNaN(gap) ? a.localeCompare(b, undefined, { numeric: true }) : gap);
      };
      const body = table.tBodies[0];
      body.append(...[...body.rows].sort((a, b) => order(key(a), key(b))));
      for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
      title.setAttribute("aria-sort", turn === 1 ? "ascending" : "descending");
    });
  }
}
