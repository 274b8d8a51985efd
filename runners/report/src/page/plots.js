// The plots of a study with many arms: a reader chooses which arms are drawn. The page comes with the best and the worst drawn;
// a choice redraws its plots from the numbers in the element `series`.
const series = JSON.parse(document.getElementById("series").textContent);
const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"];
const DASHES = ["", "7 4", "2 3", "12 5", "4 7"];
const SIGNS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [560, 340, 70, 18, 38, 54];

const svg = (name, attributes = {}, ...children) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};
const words = (x, y, content, attributes = {}) => {
  const text = { x, y, "font-size": 11.5, fill: "var(--muted)", "dominant-baseline": "central", ...attributes };
  return svg("text", text, content);
};
const line = (x1, y1, x2, y2, stroke, width = 1) => svg("line", { x1, y1, x2, y2, stroke, "stroke-width": width });
const bounds = (values) => {
  const finite = values.filter(Number.isFinite);
  return finite.length ? [Math.min(...finite), Math.max(...finite)] : [0, 1];
};
const withAir = ([low, high], part) => {
  const air = high - low > 1e-9 ? (high - low) * part : Math.max(Math.abs(high) * 1e-3, 0.01);
  return [low - air, high + air];
};
function ticks([low, high]) {
  const raw = (high - low) / 6;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((by) => by * power).find((by) => by >= raw);
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const all = [];
  for (let at = Math.ceil(low / step); at * step <= high; at++) all.push([at * step, (at * step).toFixed(decimals).replace("-", "−")]);
  return all;
}

// A frame with axes; `at` maps a point into it.
function frame(title, x, y, xTitle, yTitle) {
  const across = (value) => LEFT + ((value - x[0]) / (x[1] - x[0])) * (WIDTH - LEFT - RIGHT);
  const up = (value) => HEIGHT - BOTTOM - ((value - y[0]) / (y[1] - y[0])) * (HEIGHT - TOP - BOTTOM);
  const group = svg("g", {}, words(14, 20, title, { "font-size": 14.5, fill: "var(--ink)" }));
  for (const [value, label] of ticks(y)) {
    group.append(line(LEFT, up(value), WIDTH - RIGHT, up(value), "var(--line)"));
    group.append(words(LEFT - 8, up(value), label, { "text-anchor": "end" }));
  }
  for (const [value, label] of ticks(x)) {
    group.append(line(across(value), HEIGHT - BOTTOM, across(value), HEIGHT - BOTTOM + 4, "var(--line)"));
    group.append(words(across(value), HEIGHT - BOTTOM + 13, label, { "text-anchor": "middle" }));
  }
  group.append(words((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, xTitle, { "text-anchor": "middle" }));
  const middle = (TOP + HEIGHT - BOTTOM) / 2;
  group.append(words(14, middle, yTitle, { "text-anchor": "middle", transform: `rotate(-90 14 ${middle})` }));
  return { group, at: (px, py) => [across(px), up(py)] };
}

function put(id, group, height, caption) {
  const figure = document.getElementById(id);
  const old = figure?.querySelector("svg");
  if (!old) return;
  const label = old.getAttribute("aria-label").split(";")[0];
  const picture = { class: "redrawn", role: "img", "aria-label": label, viewBox: `0 0 ${WIDTH} ${height}`, width: WIDTH, height };
  old.replaceWith(svg("svg", picture, group));
  const remark = figure.querySelector("figcaption");
  if (remark) remark.textContent = caption;
}

const titleOf = (id) => document.querySelector(`#${id} svg`)?.getAttribute("aria-label").split(";")[0] ?? "";
const isBaseline = (arm) => series.baselines[arm] === arm;

// Each chosen arm with its colour and dash; baselines have the ink.
function looks(arms) {
  let count = 0;
  return arms.map((arm) => {
    if (isBaseline(arm)) return { arm, colour: "var(--ink)", dash: "" };
    const index = count++;
    return { arm, colour: COLOURS[index % COLOURS.length], dash: DASHES[Math.floor(index / COLOURS.length) % DASHES.length] };
  });
}

function legend(group, shown) {
  const widest = Math.max(...shown.map(({ arm }) => series.names[arm].length)) * 7 + 46;
  const columns = Math.max(1, Math.min(4, Math.floor((WIDTH - 68) / widest)));
  shown.forEach(({ arm, colour, dash }, index) => {
    const x = 62 + (index % columns) * ((WIDTH - 68) / columns);
    const y = HEIGHT + Math.floor(index / columns) * 19 + 16;
    const stroke = line(x, y, x + 24, y, colour, 2.5);
    if (dash) stroke.setAttribute("stroke-dasharray", dash);
    group.append(stroke, words(x + 31, y, series.names[arm], { "font-size": 12, fill: "var(--ink)" }));
  });
  return HEIGHT + Math.ceil(shown.length / columns) * 19 + 20;
}

// Three signs hold a number of 18 bits between the ends of the curve's range; dots are a gap.
function decoded(curve, arm) {
  const text = curve.rows[arm] ?? "";
  return curve.x.map((_, index) => {
    const signs = [...text.slice(index * 3, index * 3 + 3)].map((sign) => SIGNS.indexOf(sign));
    if (signs.length < 3 || signs.includes(-1)) return NaN;
    return curve.low + ((signs[0] * 4096 + signs[1] * 64 + signs[2]) / 262143) * (curve.high - curve.low);
  });
}

function drawCurve(curve, shown) {
  const values = shown.map(({ arm }) => decoded(curve, arm));
  const y = withAir(bounds(values.flat()), 0.05);
  const { group, at } = frame(titleOf(curve.id), withAir(bounds(curve.x), 0), y, curve.across, curve.up);
  shown.forEach(({ colour, dash }, index) => {
    let path = "";
    values[index].forEach((value, point) => {
      if (Number.isFinite(value)) path += `${path && Number.isFinite(values[index][point - 1]) ? "L" : "M"}${at(curve.x[point], value).map((of) => of.toFixed(1))}`;
    });
    group.append(svg("path", { d: path, fill: "none", stroke: colour, "stroke-width": 1.75, "stroke-dasharray": dash }));
  });
  put(curve.id, group, legend(group, shown), "Drawn as chosen above; means over seeds.");
}

function drawDifferences(shown) {
  const rows = shown.map(({ arm }) => [arm, series.differences[arm]]).filter(([, of]) => of);
  if (!document.getElementById("differences")) return;
  if (!rows.length) {
    const title = words(14, 20, titleOf("differences"), { "font-size": 14.5, fill: "var(--ink)" });
    const empty = words(WIDTH / 2, 64, "No arm with a difference is chosen.", { "text-anchor": "middle" });
    return put("differences", svg("g", {}, title, empty), 100, "Drawn as chosen above.");
  }
  rows.sort((a, b) => a[1][0] - b[1][0]);
  const reaches = rows.map(([, of]) => Math.max(...of.filter(Number.isFinite).map(Math.abs))).sort((a, b) => a - b);
  const reach = Math.min(reaches.at(-1), 6 * reaches[(reaches.length - 1) >> 1]) || 0.01;
  const left = 28 + Math.min(26, Math.max(...rows.map(([arm]) => series.names[arm].length))) * 7.3;
  const bottom = 44 + rows.length * 24;
  const x = withAir([-reach, reach], 0.04);
  const across = (value) => left + ((Math.min(Math.max(value, x[0]), x[1]) - x[0]) / (x[1] - x[0])) * (WIDTH - left - RIGHT);
  const group = svg("g", {}, words(14, 20, titleOf("differences"), { "font-size": 14.5, fill: "var(--ink)" }));
  for (const [value, label] of ticks(x)) group.append(words(across(value), bottom + 14, label, { "text-anchor": "middle" }));
  group.append(line(across(0), 44, across(0), bottom, "var(--muted)", 1.25));
  rows.forEach(([arm, [mean, low, high]], index) => {
    const y = 56 + index * 24;
    const colour = high < 0 ? "var(--better)" : low > 0 ? "var(--worse)" : "var(--muted)";
    group.append(words(left - 10, y, series.names[arm].slice(0, 26), { "text-anchor": "end", "font-size": 12.5, fill: "var(--ink)" }));
    if (Number.isFinite(low) && Number.isFinite(high)) {
      group.append(line(across(low), y, across(high), y, colour, 2));
      // an interval that goes on beyond the frame ends in an arrowhead
      const head = (at, back) => `M${at + back} ${y - 4}L${at} ${y}L${at + back} ${y + 4}`;
      const heads = [low < x[0] && head(across(low), 5), high > x[1] && head(across(high), -5)].filter(Boolean);
      if (heads.length) group.append(svg("path", { d: heads.join(""), fill: "none", stroke: colour, "stroke-width": 2 }));
    }
    if (Math.abs(mean) <= reach) group.append(svg("circle", { cx: across(mean), cy: y, r: 4.5, fill: colour }));
  });
  group.append(words(left, bottom + 34, "← lower loss"), words(WIDTH - RIGHT, bottom + 34, "higher loss →", { "text-anchor": "end" }));
  put("differences", group, bottom + 48, "Drawn as chosen above, with 95% intervals corrected for all comparisons. An arrowhead marks an interval that goes on beyond the frame.");
}

function drawCosts(shown) {
  if (!document.getElementById("loss_by_cost")) return;
  const known = series.costs.filter(Boolean);
  const middle = (index) => {
    const sorted = known.map((of) => of[index]).sort((a, b) => a - b);
    const cut = Math.floor((sorted.length - 1) / 100);
    return [sorted[cut], sorted[sorted.length - 1 - cut]];
  };
  const chosen = shown.filter(({ arm }) => series.costs[arm]);
  const range = (index) => withAir(bounds([...middle(index), ...chosen.map(({ arm }) => series.costs[arm][index])]), 0.08);
  const [x, y] = [range(0), range(1)];
  const { group, at } = frame(titleOf("loss_by_cost"), x, y, "time per step over the baseline's, ×", "loss, nats per token");
  const inside = ([cost, loss]) => cost >= x[0] && cost <= x[1] && loss >= y[0] && loss <= y[1];
  const dots = known.filter(inside).map((of) => `M${at(...of).map((place) => place.toFixed(0))}h0`);
  group.append(svg("path", { d: [...new Set(dots)].join(""), stroke: "var(--muted)", opacity: 0.4, "stroke-width": 3, "stroke-linecap": "round" }));
  for (const { arm, colour } of chosen) {
    const [cx, cy] = at(...series.costs[arm]);
    group.append(svg("circle", { cx, cy, r: 4.5, fill: colour }));
  }
  put("loss_by_cost", group, legend(group, shown), "Drawn as chosen above; lower and further left is better. Small dots: the other rows.");
}

const state = { best: series.best, worst: series.worst, picked: new Set() };

function redraw() {
  const ranked = series.ranked;
  const worst = state.worst ? ranked.slice(-state.worst) : [];
  const arms = new Set([...ranked.slice(0, state.best), ...state.picked, ...worst]);
  for (const arm of [...arms]) arms.add(series.baselines[arm]);
  if (!arms.size) arms.add(series.baselines[0]);
  const shown = looks([...arms].sort((a, b) => isBaseline(b) - isBaseline(a)));
  series.curves.forEach((curve) => drawCurve(curve, shown));
  drawDifferences(shown);
  drawCosts(shown);
}

const count = (key, label) => {
  const field = make("input", { type: "number", min: 0, max: 20, value: state[key] });
  field.addEventListener("input", () => {
    state[key] = Math.min(20, Math.max(0, Math.floor(Number(field.value) || 0)));
    redraw();
  });
  return make("label", {}, `${label} `, field);
};
const search = make("input", { type: "search", placeholder: "add an arm by name", autocomplete: "off" });
search.setAttribute("aria-label", "add an arm to the plots by its name");
const found = make("div", { className: "chips" });
const chips = make("div", { className: "chips" });
const chip = (text, onclick) => make("button", { type: "button", textContent: text, onclick });
function list() {
  const wanted = plain(search.value).split(/\s+/).filter(Boolean);
  const hits = wanted.length ? series.names.flatMap((name, arm) => (wanted.every((word) => plain(name).includes(word)) ? [arm] : [])) : [];
  const add = (arm) => chip(`+ ${series.names[arm]}`, () => (state.picked.add(arm), (search.value = ""), list(), redraw()));
  found.replaceChildren(...hits.slice(0, 8).map(add), ...(hits.length > 8 ? [`and ${hits.length - 8} more`] : []));
  const remove = (arm) => chip(`${series.names[arm]} ×`, () => (state.picked.delete(arm), list(), redraw()));
  chips.replaceChildren(...[...state.picked].map(remove));
}
search.addEventListener("input", list);
search.addEventListener("keydown", (event) => event.key === "Enter" && found.querySelector("button")?.click());
document.getElementById("pick").append(
  make("div", { className: "tools" }, "In the plots: ", count("best", "best"), count("worst", "worst"), search, chips),
  found,
  make("p", { className: "remark", textContent: `By ${series.ranking}, of ${series.names.length} rows; baselines are always drawn.${series.left_out}` }),
);
