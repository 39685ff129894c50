// What moves on the page: charts are drawn by Vega from report-data; filters, sorting, copying and the budget are here.
(() => {
"use strict";
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const data = read("report-data"), charts = read("report-charts");
const element = (id) => document.getElementById(id);
const rowsOf = (table) => table.rows.map((row) => Object.fromEntries(table.columns.map((name, i) => [name, row[i]])));
const groups = rowsOf(data.ranking), runs = rowsOf(data.runs);
const groupById = new Map(groups.map((group) => [group.group_id, group]));
const dark = window.matchMedia("(prefers-color-scheme: dark)");

// Names and runs of a group

const nameOf = (group) => (group.label ?? group.group_id) + (group.variant ? ` (${group.variant})` : "");
for (const group of groups) { group.name = nameOf(group); group.members = []; }
for (const run of runs) groupById.get(run.group_id)?.members.push(run);
for (const group of groups) group.runs = group.members.slice(0, 8).map((run) => `seed ${run.seed}: ${run.run_id}`).join(", ");

// Charts: a specification by name, rows by the name of a data set

const views = new Map();
const drawing = new Map();
async function draw(id, name, datasets) {
  const target = element(id);
  if (!target || !charts.specs[name]) return null;
  if (Object.values(datasets).every((rows) => rows.length === 0)) return emptied(id, target);
  const again = () => draw(id, name, datasets);
  drawing.set(id, again);
  const spec = fitted(structuredClone(charts.specs[name]), target.clientWidth, datasets);
  spec.datasets = datasets;
  const mode = dark.matches ? "dark" : "light";
  const { view } = await vegaEmbed(target, spec, {
    actions: false, ast: true, renderer: "svg", logLevel: 1, config: charts.config[mode], tooltip: { theme: mode },
  });
  if (drawing.get(id) !== again) { view.finalize(); return null; }
  views.get(id)?.finalize();
  views.set(id, view);
  return view;
}

function emptied(id, target) {
  drawing.delete(id);
  views.get(id)?.finalize();
  views.delete(id);
  target.replaceChildren(make("p", "Nothing to draw.", { class: "quiet" }));
  return null;
}

// Small multiples: as many side by side as there is room for, in the order of their rows
function fitted(spec, width, datasets) {
  if (!spec.facet) return spec;
  const columns = Math.max(1, Math.min(4, Math.floor(width / 270)));
  const sort = [...new Set(datasets[spec.data.name].map((row) => row[spec.facet.field]))];
  return { ...spec, columns, facet: { ...spec.facet, sort }, spec: { ...spec.spec, width: Math.floor(width / columns) - 58 } };
}

const redraw = () => { for (const again of [...drawing.values()]) again(); };
dark.addEventListener("change", () => { redraw(); drawConfusion(); });
let lastWidth = window.innerWidth, resizing = 0;
window.addEventListener("resize", () => {
  if (window.innerWidth === lastWidth) return;
  lastWidth = window.innerWidth;
  clearTimeout(resizing);
  resizing = setTimeout(redraw, 250);
});

async function drawPareto() {
  const rows = shown().filter((group) => group.rank !== null).map(({ members, ...row }) => row);
  leadingToRuns(await draw("pareto", `pareto-${element("pareto-size").value}`, { groups: rows }));
}

// The budget: every answer is a sentence written beforehand, and the slider chooses

const megabytes = (bytes) => (bytes >= 999500 ? `${(bytes / 1e6).toFixed(2)} MB` : `${(bytes / 1e3).toFixed(0)} kB`);
function answer() {
  const bytes = Math.round(10 ** Number(element("budget").value));
  element("budget-text").textContent = megabytes(bytes);
  element("budget").setAttribute("aria-valuetext", megabytes(bytes));
  for (const place of document.querySelectorAll("[data-answer]")) {
    const known = data.answers[Number(place.dataset.answer)];
    const step = known.steps.findLast((one) => one.from_bytes <= bytes);
    const key = step ? step.group_id : "";
    if (place.dataset.now === key) continue;
    place.dataset.now = key;
    const on = place.querySelector("span");
    place.replaceChildren(...(on ? [on, " "] : []));
    if (!step) { place.append(`No network is that small; the smallest has ${megabytes(known.smallest)}.`); continue; }
    const link = make("a", "", { href: `#group-${step.group_id}` });
    link.append(make("strong", step.name));
    place.append(link, `: ${step.text}`);
  }
}

// Filters: one for table, runs and charts

const chosen = () => [...document.querySelectorAll("[data-filter]")]
  .filter((select) => select.value)
  .map((select) => [select.dataset.filter, data.filters[select.dataset.filter][Number(select.value) - 1]]);
function passes(group, wanted, text) {
  return wanted.every(([name, value]) => group[name] === value) && group.name.toLowerCase().includes(text);
}
function shown() {
  const wanted = chosen(), text = element("filter-text").value.trim().toLowerCase();
  return groups.filter((group) => passes(group, wanted, text));
}
let waiting = 0;  // for the last letter that is typed: charts take longer than rows
function filter() {
  const visible = new Set(shown());
  for (const row of document.querySelectorAll("tr[data-group]")) row.hidden = row.dataset.group !== "" && !visible.has(groups[row.dataset.group]);
  for (const row of document.querySelectorAll("tr.detail")) row.hidden = row.previousElementSibling.hidden;
  element("filter-count").textContent = `${visible.size} of ${groups.length} networks`;
  clearTimeout(waiting);
  waiting = setTimeout(() => { drawPareto(); offerCurves(); }, 150);
}

// Sorting by a click on a heading

function sortBy(heading) {
  const headings = [...heading.parentElement.children], place = headings.indexOf(heading);
  const isUp = heading.getAttribute("aria-sort") !== "ascending";
  for (const one of headings) one.setAttribute("aria-sort", "none");
  heading.setAttribute("aria-sort", isUp ? "ascending" : "descending");
  const body = heading.closest("table").tBodies[0], isNumber = heading.classList.contains("number");
  const value = (row) => { const text = row.cells[place].dataset.value; return isNumber && text !== "" ? Number(text) : text; };
  const compare = (a, b) => (isNumber ? a - b : a.localeCompare(b));
  const order = (one, other) => {
    const a = value(one), b = value(other);
    if (a === "" || b === "") return (a === "") - (b === "");  // what is not known stands last
    return isUp ? compare(a, b) : compare(b, a);
  };
  body.append(...[...body.rows].sort(order));
}

// Copying the table as it is shown

const rowsShown = () => [...element("ranking").tBodies[0].rows].filter((row) => !row.hidden);
const cellsOf = () => {
  const texts = (row) => [...row.cells].map((cell) => cell.textContent.trim());
  return [texts(element("ranking").tHead.rows[0]), ...rowsShown().map(texts)];
};
// For a program: every column of ranking.parquet, as it is
const valuesOf = () => [data.ranking.columns, ...rowsShown().map((row) => data.ranking.rows[Number(row.dataset.group)])];
const isNumber = () => [...element("ranking").tHead.rows[0].cells].map((cell) => cell.classList.contains("number"));
const markdownText = (text) => text.replace(/[\\`*[\]<>|&~]/g, "\\$&");
const latexMarks = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "±": "$\\pm$", "<": "$<$", ">": "$>$" };
const latexText = (text) => text.replace(/[\\~^±<>]|[&%$#_{}]/g, (mark) => latexMarks[mark] ?? `\\${mark}`);
const csvText = (value) => {
  const text = value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
  const safe = typeof value === "string" && /^[=+\-@]/.test(text) ? `'${text}` : text;  // or a spreadsheet takes it for a formula
  return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};
const formats = {
  Markdown: ([head, ...rows], number) => {
    const line = (cells) => `| ${cells.join(" | ")} |`;
    return [line(head), line(number.map((is) => (is ? "---:" : "---"))), ...rows.map((row) => line(row.map(markdownText)))].join("\n");
  },
  CSV: () => valuesOf().map((row) => row.map(csvText).join(",")).join("\n"),
  LaTeX: ([head, ...rows], number) => {
    const line = (cells) => `${cells.map(latexText).join(" & ")} \\\\`;
    const columns = number.map((is) => (is ? "r" : "l")).join("");
    return [`\\begin{tabular}{${columns}}`, "\\hline", line(head), "\\hline", ...rows.map(line), "\\hline", "\\end{tabular}"].join("\n");
  },
};
async function copy(name) {
  const cells = cellsOf(), text = `${formats[name](cells, isNumber())}\n`;
  element("copied").textContent = (await toClipboard(text)) ? `${cells.length - 1} rows copied` : "the browser does not allow it";
}
async function toClipboard(text) {
  try { await navigator.clipboard.writeText(text); return true; } catch { /* an older way may be allowed */ }
  const area = document.body.appendChild(make("textarea", text));
  area.select();
  const isDone = document.execCommand("copy");
  area.remove();
  return isDone;
}

// Details of a run, made when they are opened

function make(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}
function toggle(row, isWanted) {
  const button = row.querySelector(".opens"), isOpen = button.getAttribute("aria-expanded") === "true";
  if (isWanted === isOpen) return;
  button.setAttribute("aria-expanded", String(!isOpen));
  if (isOpen) row.nextElementSibling.remove();
  else row.after(detail(runs[row.dataset.run], row.cells.length));
}
function detail(run, width) {
  const row = make("tr", "", { class: "detail", id: `detail-${run.run_id}` }), cell = make("td", "", { colspan: width });
  const list = make("dl");
  const { status, reason, ...rest } = run;
  for (const [name, value] of Object.entries({ status, reason, ...rest })) {
    if (value === null || value === "") continue;
    const pair = list.appendChild(make("div"));
    pair.append(make("dt", name.replaceAll("_", " ")), make("dd", String(value)));
  }
  cell.append(list);
  const spec = data.specs[run.group_id];
  if (spec) cell.append(folded("Spec (the other seeds of its group differ by the seeds alone)", jsonText(spec)));
  row.append(cell);
  return row;
}
// Marks that act, such as those that turn the direction of writing, are shown by their numbers
function jsonText(value) {
  const shown = (mark) => (mark === "\n" ? mark : `\\u{${mark.codePointAt(0).toString(16)}}`);
  return JSON.stringify(value, null, 1).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, shown);
}
function folded(title, text) {
  const made = make("details");
  made.append(make("summary", title), make("pre", text, { tabindex: "0" }));
  return made;
}
function follow() {
  const row = location.hash.startsWith("#run-") && element(decodeURIComponent(location.hash.slice(1)));
  if (!row) return;
  row.hidden = false;
  toggle(row, true);
  row.scrollIntoView({ block: "start" });
  row.querySelector(".opens").focus({ preventScroll: true });
}

// Learning curves: a page of small charts at a time

const PER_PAGE = 12;
const curvesOf = new Map(data.curves.map((one) => [one.group_id, one]));
let offered = [];
function offerCurves() {
  offered = shown().filter((group) => curvesOf.has(group.group_id));
  const select = element("curves-page");
  const options = [];
  for (let start = 0; start < offered.length; start += PER_PAGE) {
    options.push(make("option", `${start + 1} to ${Math.min(start + PER_PAGE, offered.length)} of ${offered.length}`, { value: start }));
  }
  select.replaceChildren(...options);
  select.parentElement.hidden = options.length < 2;
  drawCurves();
}
function drawCurves() {
  const start = Number(element("curves-page").value) || 0;
  const rows = offered.slice(start, start + PER_PAGE).flatMap((group) => curveRows(group, curvesOf.get(group.group_id)));
  return draw("curves", "curves", { curves: rows });
}
function curveRows(group, known) {
  const line = (part, name) => known.epochs.map((epoch, i) => (
    { name: group.name, part, epoch, accuracy: known[name][i], low: known[`${name}_low`][i], high: known[`${name}_high`][i] }));
  const best = known.best.map(([epoch, accuracy]) => ({ name: group.name, part: "best epoch of a seed", epoch, accuracy }));
  return [...line("training", "train"), ...line("validation", "validation"), ...best];
}

// Confusion matrix of the chosen run

function drawConfusion() {
  const known = data.confusion[element("confusion-run")?.value];
  if (!known) return null;
  const names = data.class_names[known.data_fingerprint] ?? [];
  const size = Math.max(names.length, ...known.cells.map(([t, p]) => Math.max(t, p) + 1));
  const counts = new Map(known.cells.map(([t, p, count]) => [t * size + p, count]));
  const rows = [];
  for (let t = 0; t < size; t += 1) {
    let total = 0;
    for (let p = 0; p < size; p += 1) total += counts.get(t * size + p) ?? 0;
    for (let p = 0; p < size; p += 1) {
      const count = counts.get(t * size + p) ?? 0, share = total ? count / total : 0;
      rows.push({ true_class: names[t] ?? String(t), predicted_class: names[p] ?? String(p), count, share, is_numbered: size <= 20, ink: inkOn(share) });
    }
  }
  return draw("confusion", "confusion", { confusion: rows });
}
const inkOn = (share) => ((dark.matches ? share > 0.62 : share < 0.72) ? "#000000" : "#ffffff");

// Distillation and time

function drawGains() {
  const rows = rowsOf(data.gains).flatMap((gain) => ["validation", "test"].map((split) => ({
    student: gain.label, teacher: gain.teacher_label, split, n: split === "test" ? gain.num_test_pairs : gain.n,
    gain: gain[`${split}_gain_mean`], low: gain[`${split}_gain_low`], high: gain[`${split}_gain_high`],
  }))).filter((row) => row.gain !== null);
  return rows.length ? draw("gains-chart", "gains", { gains: rows }) : null;
}
const drawClasses = () => draw("classes", "classes", { classes: rowsOf(data.classes) });
async function drawTimeline() {
  const attempts = rowsOf(data.attempts);
  if (!attempts.length) return;
  leadingToRuns(await draw("timeline", "timeline", { attempts }));
}

// A click on a mark leads to its run

function leadingToRuns(view) {
  view?.addEventListener("click", (event, item) => {
    const id = item?.datum?.run_id ?? groupById.get(item?.datum?.group_id)?.members[0]?.run_id;
    if (id) { location.hash = ""; location.hash = `run-${id}`; }
  });
}

// A page of a sweep that runs

function reloading() {
  const often = element("reload-often");
  element("reload")?.addEventListener("click", () => location.reload());
  if (!often) return;
  const remember = (value) => { try { sessionStorage.setItem("reload", value); } catch { /* then it is forgotten */ } };
  const remembered = () => { try { return sessionStorage.getItem("reload") === "yes"; } catch { return false; } };
  often.checked = remembered();
  often.addEventListener("change", () => remember(often.checked ? "yes" : "no"));
  setInterval(() => { if (often.checked) location.reload(); }, 60000);
}

const on = (id, event, action) => element(id)?.addEventListener(event, action);
for (const select of document.querySelectorAll("[data-filter]")) select.addEventListener("change", filter);
for (const button of document.querySelectorAll("#ranking thead button")) button.addEventListener("click", () => sortBy(button.parentElement));
for (const row of document.querySelectorAll("#runs tbody tr")) row.querySelector(".opens").addEventListener("click", () => toggle(row));
for (const name of Object.keys(formats)) on(`copy-${name.toLowerCase()}`, "click", () => copy(name));
on("filter-text", "input", filter);
on("filter-clear", "click", () => {
  for (const select of document.querySelectorAll("[data-filter]")) select.value = "";
  element("filter-text").value = "";
  filter();
});
on("budget", "input", answer);
on("pareto-size", "change", drawPareto);
on("curves-page", "change", drawCurves);
on("confusion-run", "change", drawConfusion);
window.addEventListener("hashchange", follow);
reloading();
if (element("budget")) answer();

(async () => {
  await drawPareto();
  offerCurves();
  for (const next of [drawGains, drawClasses, drawCurves, drawConfusion, drawTimeline]) await next();
  follow();
  document.documentElement.dataset.ready = "true";
})();
})();
