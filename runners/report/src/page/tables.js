// A click on a column's title sorts its table; a second click turns the order round. What is not known stays last.
// Above each table of several rows stands a field: rows stay that have all words typed into it.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const buttons = [...table.querySelectorAll("thead button")];
  for (const button of buttons) {
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
      body.append(...[...body.rows].sort((a, b) => order(key(a), key(b))));
      for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
      title.setAttribute("aria-sort", turn === 1 ? "ascending" : "descending");
    });
  }
  const heading = table.closest("section")?.querySelector("h2")?.textContent ?? "";
  const box = table.closest(".scroll");
  if (box && (box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight)) {
    box.tabIndex = 0; // the keyboard scrolls what has the focus
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", heading);
  }
  if (body.rows.length < 2) continue;

  const make = (name, attributes) => Object.assign(document.createElement(name), attributes);
  const tools = make("div", { className: "tools" });
  const field = make("input", { type: "search", placeholder: "filter rows", autocomplete: "off" });
  field.setAttribute("aria-label", `filter rows: ${heading}`);
  const found = make("span", { className: "found" });
  found.setAttribute("role", "status");
  const texts = new Map([...body.rows].map((row) => [row, row.textContent.toLowerCase().replaceAll("−", "-")]));
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().replaceAll("−", "-").split(/\s+/).filter(Boolean);
    let left = 0;
    for (const row of body.rows) {
      row.hidden = !words.every((word) => texts.get(row).includes(word));
      left += row.hidden ? 0 : 1;
    }
    found.textContent = words.length ? `${left} of ${body.rows.length} rows` : "";
  });
  // where the titles do not show, as cards on a narrow screen, a list of them sorts
  const list = make("select", {});
  list.setAttribute("aria-label", `sort by: ${heading}`);
  list.append(make("option", { textContent: "sort by …", value: "" }));
  buttons.forEach((button, index) => list.append(make("option", { textContent: button.textContent, value: String(index) })));
  list.addEventListener("change", () => list.value !== "" && buttons[Number(list.value)].click());
  tools.append(field, list, found);
  (box ?? table).before(tools);
}
