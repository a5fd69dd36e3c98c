"use strict";
// One view for all panes of a row: the picture's point at the pane's centre, and the zoom on top of fitting.
const dialog = document.getElementById("zoom"), panes = dialog.querySelector(".panes");
const rows = [...document.querySelectorAll(".seed")].filter(row => row.querySelector("img"));
let place = 0, view = {x: 0.5, y: 0.5, zoom: 1}, grip = null;

function draw() {
  for (const pane of panes.children) {
    const image = pane.firstChild, box = pane.getBoundingClientRect();
    const scale = view.zoom * Math.min(box.width / image.naturalWidth, box.height / image.naturalHeight);
    const left = box.width / 2 - view.x * image.naturalWidth * scale, top = box.height / 2 - view.y * image.naturalHeight * scale;
    image.style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
    image.classList.toggle("near", scale > 3 && view.zoom > 1);
  }
}
function fit() { view = {x: 0.5, y: 0.5, zoom: 1}; draw(); }
function show(number) {
  place = (number + rows.length) % rows.length;
  const images = [...rows[place].querySelectorAll("img")];
  dialog.querySelector(".bar b").textContent = "seed " + rows[place].dataset.seed;
  panes.replaceChildren(...images.map(image => {
    const pane = document.createElement("div"), copy = new Image(), name = document.createElement("span");
    pane.className = "pane"; name.className = "run run-" + image.dataset.run;
    copy.alt = image.alt; copy.draggable = false; copy.onload = draw; copy.src = image.src; name.textContent = image.dataset.name;
    pane.append(copy, name);
    return pane;
  }));
  const wide = window.innerWidth / window.innerHeight, shape = images[0].naturalWidth / images[0].naturalHeight;
  let columns = 1, most = 0;
  for (let count = 1; count <= images.length; count++) {
    const size = Math.min(wide / count / shape, 1 / Math.ceil(images.length / count));
    if (size > most) { most = size; columns = count; }
  }
  panes.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
  if (!dialog.open) dialog.showModal();
  draw();
}
function enlarge(factor, event) {
  const zoom = Math.min(64, Math.max(1, view.zoom * factor)), pane = event && event.target.closest(".pane");
  if (pane) {
    const image = pane.firstChild, box = pane.getBoundingClientRect();
    const before = view.zoom * Math.min(box.width / image.naturalWidth, box.height / image.naturalHeight), after = before * zoom / view.zoom;
    view.x += (event.clientX - box.left - box.width / 2) * (1 / before - 1 / after) / image.naturalWidth;
    view.y += (event.clientY - box.top - box.height / 2) * (1 / before - 1 / after) / image.naturalHeight;
  }
  view.zoom = zoom;
  if (zoom === 1) view.x = view.y = 0.5;
  draw();
}
rows.forEach((row, number) => row.addEventListener("click", event => { if (event.target.closest("button")) { view = {x: 0.5, y: 0.5, zoom: 1}; show(number); } }));
dialog.querySelector(".close").addEventListener("click", () => dialog.close());
panes.addEventListener("wheel", event => { event.preventDefault(); enlarge(Math.exp(-event.deltaY / 300), event); }, {passive: false});
panes.addEventListener("dblclick", event => enlarge(2, event));
panes.addEventListener("pointerdown", event => { grip = event.target.closest(".pane"); if (grip) grip.setPointerCapture(event.pointerId); });
panes.addEventListener("pointerup", () => { grip = null; });
panes.addEventListener("pointermove", event => {
  if (!grip) return;
  const image = grip.firstChild, box = grip.getBoundingClientRect();
  const scale = view.zoom * Math.min(box.width / image.naturalWidth, box.height / image.naturalHeight);
  view.x -= event.movementX / scale / image.naturalWidth; view.y -= event.movementY / scale / image.naturalHeight;
  draw();
});
dialog.addEventListener("keydown", event => {
  const act = {"+": () => enlarge(1.5), "=": () => enlarge(1.5), "-": () => enlarge(1 / 1.5), "0": fit, ArrowRight: () => show(place + 1), ArrowLeft: () => show(place - 1)}[event.key];
  if (act) { event.preventDefault(); act(); }
});
window.addEventListener("resize", draw);
