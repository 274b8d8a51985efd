// Sorts, filters and pages the tables. A click on a column's title sorts, a second click reverses; unknown values stay last.
// The rows of a long table are data, of which one page at a time is built.
const make = (name, attributes = {}, ...children) => {
  const element = Object.assign(document.createElement(name), attributes);
  element.append(...children);
  return element;
};
const PAGE = 50;
const plain = (text) => text.toLowerCase().replaceAll("−", "-");
const numberOf = (text) => Number(text.replaceAll("−", "-").replaceAll(",", "").replace("inf", "Infinity").split(/[ ×\u00a0]/)[0]);

// A row as { keys, text, element }, read from the page or from data.
const shownRow = (row) => ({
  keys: [...row.cells].map((cell) => cell.dataset.sort ?? cell.textContent.trim()),
  text: plain(row.textContent),
  element: () => row,
});
const dataRow = (titles) => (data) => {
  const cells = data.slice(0, titles.length).map((cell) => (Array.isArray(cell) ? cell : [cell]));
  const build = () => {
    const row = make("tr", { className: data.length > titles.length ? "marked" : "" });
    cells.forEach(([text, , small, kind, code], index) => {
      const cell = make(index ? "td" : "th", { className: titles[index].classList.contains("number") ? "number" : kind ?? "" });
      if (index === 0) cell.scope = "row";
      cell.append(text);
      if (code) cell.append(make("code", { textContent: code }));
      if (small) cell.append(" ", make("small", { textContent: small }));
      row.append(cell);
    });
    return row;
  };
  return {
    keys: cells.map(([text, key]) => key ?? text),
    text: plain(cells.map(([text, , small, , code]) => `${text} ${code ?? ""} ${small ?? ""}`).join(" ")),
    element: build,
  };
};

function order(a, b, reversed, isNumber) {
  const lost = (text) => text === "" || text === "NaN";
  if (lost(a) || lost(b)) return lost(a) - lost(b);
  const gap = isNumber ? numberOf(a) - numberOf(b) : Number(a) - Number(b);
  return (reversed ? -1 : 1) * (Number.isNaN(gap) ? a.localeCompare(b, undefined, { numeric: true }) : gap);
}

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const titles = [...table.querySelectorAll("thead th")];
  const buttons = titles.map((title) => title.querySelector("button"));
  const heading = table.closest("section")?.querySelector("h2")?.textContent ?? "";
  const box = table.closest(".scroll");
  const source = box.nextElementSibling?.matches("script.rows") ? box.nextElementSibling : null;
  let rows = source ? JSON.parse(source.textContent).map(dataRow(titles)) : [...body.rows].map(shownRow);
  let words = [];
  let page = 0;
  const field = make("input", { type: "search", placeholder: "filter rows", autocomplete: "off" });
  field.setAttribute("aria-label", `filter rows: ${heading}`);
  const found = make("span", { className: "found" });
  found.setAttribute("role", "status");
  const turn = (text, label, by) => {
    const button = make("button", { type: "button", textContent: text, onclick: () => show(page + by) });
    button.setAttribute("aria-label", `${label}: ${heading}`);
    return button;
  };
  const turns = [turn("‹", "previous page", -1), turn("›", "next page", 1)];

  function show(to = 0) {
    const left = words.length ? rows.filter((row) => words.every((word) => row.text.includes(word))) : rows;
    const size = source ? PAGE : rows.length;
    const last = Math.max(0, Math.ceil(left.length / size) - 1);
    page = Math.min(Math.max(to, 0), last);
    body.replaceChildren(...left.slice(page * size, (page + 1) * size).map((row) => row.element()));
    const from = left.length ? page * size + 1 : 0;
    const none = words.length && !left.length;
    const range = source ? `${from} to ${Math.min((page + 1) * size, left.length)} of ` : "";
    found.textContent = none ? `no row of ${rows.length}` : source || words.length ? `${range}${left.length} ${words.length ? `(of ${rows.length}) ` : ""}rows` : "";
    turns[0].disabled = page === 0;
    turns[1].disabled = page === last;
    if (source) box.scrollTop = 0;
  }

  buttons.forEach((button, index) => {
    button.addEventListener("click", () => {
      const title = titles[index];
      const reversed = title.getAttribute("aria-sort") === "ascending";
      const isNumber = title.classList.contains("number");
      rows = [...rows].sort((a, b) => order(a.keys[index], b.keys[index], reversed, isNumber));
      for (const other of titles) other.removeAttribute("aria-sort");
      title.setAttribute("aria-sort", reversed ? "descending" : "ascending");
      show();
    });
  });
  if (box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight) {
    box.tabIndex = 0; // the keyboard scrolls what has the focus
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", heading);
  }
  if (rows.length < 2) continue;
  field.addEventListener("input", () => {
    words = plain(field.value).split(/\s+/).filter(Boolean);
    show();
  });
  // where the titles do not show, as cards on a narrow screen, a list of them sorts
  const list = make("select", {}, make("option", { textContent: "sort by …", value: "" }));
  list.setAttribute("aria-label", `sort by: ${heading}`);
  buttons.forEach((button, index) => list.append(make("option", { textContent: button.textContent, value: String(index) })));
  list.addEventListener("change", () => list.value !== "" && buttons[Number(list.value)].click());
  const tools = make("div", { className: "tools" }, field, list, ...(source ? turns : []), found);
  box.before(tools);
  if (source) show();
}
