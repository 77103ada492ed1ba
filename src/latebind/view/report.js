"use strict";
// The page works on file:// and without a network. `#q=malloc` in the address is what the search box starts with.
const {texts, rows} = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const COLUMNS = 7, SYMBOL = 1, READABLE = 7, PAGE = 500;
const cell = (row, column) =>
  column === SYMBOL ? row[READABLE] || row[SYMBOL] : texts[row[column]];

// bindings ------------------------------------------------------------------------------------------------------
let shown = PAGE, found = rows, sorted = -1, descending = false;
const haystacks = new Map();

function haystack(row) {
  let text = haystacks.get(row);
  if (text === undefined) {
    text = [0, 1, 2, 3, 4, 5, 6].map((column) => cell(row, column)).join(" ") + " " + row[SYMBOL];
    haystacks.set(row, text = text.toLowerCase());
  }
  return text;
}

// Every word must be in the row; `from:` and `to:` look at one column.
function matches(row, words) {
  return words.every((word) => {
    if (word.startsWith("from:")) return cell(row, 0).toLowerCase().includes(word.slice(5));
    if (word.startsWith("to:")) return cell(row, 3).toLowerCase().includes(word.slice(3));
    return haystack(row).includes(word);
  });
}

function search() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  found = words.length ? rows.filter((row) => matches(row, words)) : rows.slice();
  if (sorted >= 0) {
    const way = descending ? -1 : 1;
    found.sort((a, b) => way * cell(a, sorted).localeCompare(cell(b, sorted)));
  }
  shown = PAGE;
  show();
}

function show() {
  const body = document.createDocumentFragment();
  for (const row of found.slice(0, shown)) {
    const line = document.createElement("tr");
    if (!texts[row[3]]) line.className = "undefined";
    for (let column = 0; column < COLUMNS; column++) {
      const box = document.createElement("td");
      box.textContent = cell(row, column);
      if (column === SYMBOL && row[READABLE]) box.title = row[SYMBOL];
      line.append(box);
    }
    body.append(line);
  }
  byId("rows").replaceChildren(body);
  byId("count").textContent = `${found.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
  byId("more").hidden = found.length <= shown;
}

function ask(text) {
  byId("search").value = text;
  search();
}

byId("search").addEventListener("input", () => {
  search();
  const text = byId("search").value;
  history.replaceState(null, "", text ? "#q=" + encodeURIComponent(text) : "#");
});
byId("more").addEventListener("click", () => { shown += PAGE; show(); });
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const column = Number(button.dataset.column);
    descending = sorted === column && !descending;
    sorted = column;
    for (const other of document.querySelectorAll("th button")) other.removeAttribute("aria-sort");
    button.setAttribute("aria-sort", descending ? "descending" : "ascending");
    search();
  });
}
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !/^(INPUT|SELECT)$/.test(document.activeElement.tagName)) {
    event.preventDefault();
    byId("search").focus();
  }
});

// segments and graph --------------------------------------------------------------------------------------------
function choose(index) {
  for (const map of document.querySelectorAll(".map")) map.hidden = map.dataset.object !== index;
}

byId("object").addEventListener("change", () => choose(byId("object").value));
byId("implied").addEventListener("change", () => byId("graph").classList.toggle("all", byId("implied").checked));

function light(index, on) {
  const svg = document.querySelector("#graph svg");
  svg.classList.toggle("lit", on);
  for (const item of svg.querySelectorAll(".on")) item.classList.remove("on");
  if (!on) return;
  svg.querySelector(`[data-node="${index}"]`).classList.add("on");
  for (const edge of svg.querySelectorAll(`[data-from="${index}"], [data-to="${index}"]`)) {
    edge.classList.add("on");
    for (const end of [edge.dataset.from, edge.dataset.to]) {
      svg.querySelector(`[data-node="${end}"]`).classList.add("on");
    }
  }
}

for (const node of document.querySelectorAll(".node")) {
  const index = node.dataset.node;
  const pick = () => {
    const select = byId("object");
    if ([...select.options].some((option) => option.value === index)) {
      select.value = index;
      choose(index);
    }
    ask("to:" + node.querySelector("text").textContent);
  };
  node.setAttribute("tabindex", "0");
  node.setAttribute("role", "button");
  node.addEventListener("click", pick);
  node.addEventListener("keydown", (event) => { if (event.key === "Enter") pick(); });
  for (const name of ["mouseenter", "focus"]) node.addEventListener(name, () => light(index, true));
  for (const name of ["mouseleave", "blur"]) node.addEventListener(name, () => light(index, false));
}

byId("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});

function fromAddress() {
  if (location.hash.startsWith("#q=")) byId("search").value = decodeURIComponent(location.hash.slice(3));
  search();
}
addEventListener("hashchange", fromAddress);
fromAddress();
