"use strict";
const DIGITS = "123456789", LETTERS = "abcdefghijklmnopqrstuvwxyz";
const data = JSON.parse(document.getElementById("data").textContent);
const { rows, classes } = data;
const labels = rows.map(() => "");
const done = []; // for undo: [row, what it was before]
let current = 0;
const find = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children); // strings become text, never markup
  return element;
}

// A class named by one letter or digit has that as its key, the others what is left.
function assignKeys() {
  const own = classes.map((name) => name.toLowerCase()).map((name) => /^[0-9a-z]$/.test(name) ? name : "");
  const twice = own.some((key, place) => key && own.indexOf(key) !== place);
  const taken = twice ? classes.map(() => "") : own;
  const left = [...DIGITS, ...(classes.length > 9 ? LETTERS : "")].filter((key) => !taken.includes(key));
  return taken.map((key) => key || left.shift() || "");
}

const keys = assignKeys();

// What is kept in the browser, where the browser lets us.
function restore() {
  try {
    const kept = JSON.parse(localStorage.getItem(data.store)) || {};
    rows.forEach((row, place) => {
      if (classes.includes(kept[row.id])) labels[place] = kept[row.id];
    });
  } catch { /* nothing kept, or no storage: begin anew */ }
  const first = labels.indexOf("");
  current = first < 0 ? 0 : first;
}

function keep() {
  try {
    const kept = Object.fromEntries(rows.map((row, place) => [row.id, labels[place]]));
    localStorage.setItem(data.store, JSON.stringify(kept));
    find("saved").textContent = "Kept in this browser until you download the labels.";
  } catch {
    find("saved").textContent = "This browser keeps nothing: download before you close the page.";
  }
}

// What is shown of one row.
function showImage(row) {
  const image = make("img", { src: row.value, alt: `Row ${row.row}` });
  image.onload = () => { // small pictures are shown larger, tiny ones with their pixels
    const longest = Math.max(image.naturalWidth, image.naturalHeight);
    const scale = longest < 160 ? Math.max(1, Math.floor(400 / longest)) : Math.max(1, 480 / longest);
    image.classList.toggle("tiny", longest < 160);
    image.style.width = `${Math.round(image.naturalWidth * scale)}px`;
  };
  return image;
}

function showFeatures(row) {
  const lines = row.value.map(([name, value]) => {
    return make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, value));
  });
  const box = make("div", { className: "table", tabIndex: 0 });
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", `Values of row ${row.row}`);
  box.append(make("table", {}, make("tbody", {}, ...lines)));
  if (row.more) box.append(make("p", { className: "quiet" }, `and ${row.more} more`));
  return box;
}

function showText(row) {
  return make("div", { className: "text", tabIndex: 0 }, row.value);
}

const SHOW = { image: showImage, features: showFeatures, text: showText };

// The page follows from `labels` and `current`.
function render() {
  const row = rows[current];
  const count = labels.filter(Boolean).length;
  find("place").textContent = `${current + 1} of ${rows.length}`;
  find("content").replaceChildren(SHOW[row.kind](row));
  find("count").textContent = `${count} of ${rows.length} labeled`;
  find("bar").max = rows.length;
  find("bar").value = count;
  find("back").disabled = current === 0;
  find("forth").disabled = current === rows.length - 1;
  find("clear").disabled = !labels[current];
  find("undo").disabled = !done.length;
  find("all").hidden = count < rows.length;
  for (const button of find("classes").children) {
    const chosen = classes[button.dataset.place] === labels[current];
    button.setAttribute("aria-pressed", String(chosen));
  }
  [...find("strip").children].forEach((entry, place) => {
    const button = entry.firstChild;
    button.className = labels[place] ? "labeled" : "";
    button.setAttribute("aria-label", `${place + 1}, ${labels[place] || "not labeled"}`);
    if (place === current) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  });
}

function say(message) {
  find("status").textContent = message;
}

function go(place) {
  if (place < 0 || place >= rows.length) return;
  current = place;
  find("search").value = "";
  filter();
  render();
  say(`${current + 1} of ${rows.length}, ${labels[current] || "not labeled"}`);
}

function choose(label) {
  done.push([current, labels[current]]);
  labels[current] = label;
  keep();
  const next = [...rows.keys()].find((place) => place > current && !labels[place]);
  const missed = labels.indexOf("");
  if (label && (next ?? missed) >= 0) go(next ?? missed);
  else go(current);
  if (missed < 0) say("All rows are labeled. Download the CSV.");
  else if (label) say(`${label}. Now ${current + 1} of ${rows.length}.`);
}

function undo() {
  if (!done.length) return;
  const [place, before] = done.pop();
  labels[place] = before;
  keep();
  go(place);
}

// Classes, their keys and the search among many.
function filter() {
  const wanted = find("search").value.trim().toLowerCase();
  let first = null, count = 0;
  for (const button of find("classes").children) {
    const fits = classes[button.dataset.place].toLowerCase().includes(wanted);
    button.hidden = !fits;
    button.style.display = fits ? "" : "none";
    button.classList.remove("first");
    if (fits) { count += 1; first = first || button; }
  }
  if (wanted && first) first.classList.add("first");
  const many = count === 1 ? "1 class" : `${count} classes`;
  find("found").textContent = !wanted ? "Press / to search, Enter takes the first."
    : first ? `${many}. Enter takes “${classes[first.dataset.place]}”.` : "No such class.";
  return first;
}

function build() {
  classes.forEach((name, place) => {
    const key = keys[place];
    const hint = make("kbd", { className: key ? "" : "none" }, key.toUpperCase());
    const tick = make("span", { className: "tick" }, "✓");
    hint.setAttribute("aria-hidden", "true");
    tick.setAttribute("aria-hidden", "true");
    const button = make("button", { type: "button" }, hint, make("span", {}, name), tick);
    button.dataset.place = place;
    if (key) button.setAttribute("aria-keyshortcuts", key);
    button.onclick = () => choose(name);
    find("classes").append(button);
  });
  rows.forEach((row, place) => {
    const button = make("button", { type: "button", onclick: () => go(place) }, String(place + 1));
    find("strip").append(make("li", {}, button));
  });
  const shown = keys.filter(Boolean).map((key) => key.toUpperCase());
  const range = shown.length > 2 ? `${shown[0]} to ${shown.at(-1)}` : shown.join(" and ");
  find("hint").textContent = `Keys: ${range} choose, ← → move, Del clears, ⌫ takes back. ` +
    "What you cannot tell, leave out.";
  find("finder").hidden = classes.length <= 9;
}

// The CSV, as it was written but for the labels.
function quote(cell) {
  return /[",;\t\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}

function download() {
  const lines = rows.map((row, place) => [row.id, labels[place], ...row.cells]);
  const text = [data.columns, ...lines].map((line) => line.map(quote).join(",") + "\r\n").join("");
  const file = new Blob(["\ufeff" + text], { type: "text/csv" });
  const link = make("a", { href: URL.createObjectURL(file), download: data.file });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  say(`${data.file} is downloaded.`);
}

function press(event) {
  const searching = event.target === find("search");
  const command = event.ctrlKey || event.metaKey;
  if (command && event.key.toLowerCase() === "z" && !searching) { event.preventDefault(); undo(); return; }
  if (command || event.altKey) return;
  if (searching) {
    const first = event.key === "Enter" && find("search").value.trim() && filter();
    if (first) choose(classes[first.dataset.place]);
    if (first || event.key === "Escape") { find("search").value = ""; filter(); find("place").focus(); }
    return;
  }
  const actions = {
    ArrowLeft: () => go(current - 1), ArrowRight: () => go(current + 1),
    Backspace: undo, Delete: () => labels[current] && choose(""),
    "/": () => !find("finder").hidden && find("search").focus(),
  };
  const place = keys.indexOf(event.key.toLowerCase());
  const action = actions[event.key] || (place >= 0 && !event.repeat && (() => choose(classes[place])));
  if (action) { event.preventDefault(); action(); }
}

build();
restore();
filter();
render();
find("search").addEventListener("input", filter);
find("back").onclick = () => go(current - 1);
find("forth").onclick = () => go(current + 1);
find("clear").onclick = () => labels[current] && choose("");
find("undo").onclick = undo;
find("download").onclick = download;
document.addEventListener("keydown", press);
