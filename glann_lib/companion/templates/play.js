// The page: what is asked of the worker, and where its answers are shown. What is moved fast is asked for only when the
// last answer is there, and then only the newest wish.
"use strict";
const $ = (id) => document.getElementById(id);
const facts = JSON.parse($("facts").textContent), { side } = facts, COUNT = 24, ROW = 8, ON_THE_WAY = 9;

// A page that is opened as a file may not load a worker from another one, but from its own text.
const worker = new Worker(URL.createObjectURL(new Blob([$("network").textContent], { type: "text/javascript" })));
const waiting = new Map();
let asked = 0;

function ask(question, given) {
  worker.postMessage({ id: ++asked, question, given });
  return new Promise((resolve) => waiting.set(asked, resolve));
}

worker.onmessage = ({ data: { id, answer } }) => {
  waiting.get(id)(answer);
  waiting.delete(id);
};

// A function that does the newest of many wishes, one at a time.
function newest(work) {
  let wished = false, busy = false;
  return async () => {
    wished = true;
    if (busy) return;
    busy = true;
    while (wished) {
      wished = false;
      await work();
    }
    busy = false;
  };
}

// ---- pictures and controls ----------------------------------------------------------------------------------------
const sized = (canvas, width = side, height = side) => Object.assign(canvas, { width, height });

// Image number `index` of an answer on a canvas, in column `column` of a strip with gaps.
function show(canvas, { pixels }, index = 0, column = 0) {
  const bytes = 4 * side * side, image = pixels.subarray(bytes * index, bytes * (index + 1));
  canvas.getContext("2d").putImageData(new ImageData(image, side, side), column * (side + 1), 0);
}

// Numbers as bars from the middle line, one below the other.
function bars(canvas, values) {
  const context = sized(canvas, 128, 256).getContext("2d"), most = Math.max(...values.map(Math.abs));
  context.fillStyle = getComputedStyle(document.body).getPropertyValue("--accent");
  const height = 256 / values.length;
  values.forEach((value, i) => context.fillRect(64, i * height, (62 * value) / most, Math.max(1, height - 1)));
}

const value = (id) => Number($(id).value);
const seedOf = (id) => within(Math.floor(value(id) || 0), 999999);
const on = (names, ids, react) => names.forEach((name) => ids.forEach((id) => $(id)?.addEventListener(name, react)));
const say = (id, words, since) => { $(id).textContent = `${words}: ${Math.ceil(performance.now() - since)} ms.`; };

// Where an event lies on a canvas, in parts of its width and height.
function partsOf({ clientX, clientY, currentTarget }) {
  const box = currentTarget.getBoundingClientRect();
  return [(clientX - box.left) / box.width, (clientY - box.top) / box.height];
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const within = (part, end) => Math.min(end, Math.max(0, part));
const moved = (place, key, step, end) => place.map((part, axis) => within(part + step * ARROWS[key][axis], end));

// ---- new samples, and the figure of e, T, z and G -----------------------------------------------------------------
const drawSamples = newest(async () => {
  const started = performance.now(), seed = seedOf("seed"), cells = $("grid").children;
  for (let first = 0; first < COUNT; first += ROW) { // by rows, so that a slider never waits for all
    const answer = await ask("samples", { seed, first, last: first + ROW });
    for (let i = 0; i < ROW; i++) show(cells[first + i], answer, i);
    if (first === 0) [["flow-e", answer.e], ["flow-z", answer.z]].forEach(([id, values]) => bars($(id), values));
    if (first === 0) show($("flow-x"), answer);
  }
  $("grid").setAttribute("aria-label", `${COUNT} new images, of seed ${seed}`);
  say("said-samples", `${COUNT} images of seed ${seed}`, started);
});

function samples() {
  for (let i = 0; i < COUNT; i++) sized($("grid").appendChild(document.createElement("canvas")));
  on(["input"], ["seed"], drawSamples);
  on(["click"], ["others"], () => { $("seed").value = Math.floor(Math.random() * 1e6); drawSamples(); });
  return drawSamples();
}

// ---- a path between two seeds -------------------------------------------------------------------------------------
const drawBetween = newest(async () => {
  const started = performance.now(), percent = value("place"), ends = { from: seedOf("from"), to: seedOf("to") };
  show($("between"), await ask("path", { ...ends, steps: [percent / 100] }));
  say("said-path", `${percent}% of the way from seed ${ends.from} to seed ${ends.to}`, started);
});

const drawWay = newest(async () => {
  const steps = Array.from({ length: ON_THE_WAY }, (_, i) => i / (ON_THE_WAY - 1));
  const answer = await ask("path", { from: seedOf("from"), to: seedOf("to"), steps });
  steps.forEach((_, i) => show($("way"), answer, i, i));
});

let running = false;
async function run() {
  running = !running;
  $("run").textContent = running ? "Stop" : "Play";
  let last = performance.now(), phase = Math.acos(1 - value("place") / 50);
  while (running) { // there and back in six seconds, slower at the ends
    const now = await new Promise(requestAnimationFrame);
    phase += ((now - last) / 6000) * 2 * Math.PI;
    last = now;
    $("place").value = 50 * (1 - Math.cos(phase));
    await drawBetween();
  }
}

function path() {
  sized($("way"), ON_THE_WAY * (side + 1) - 1);
  on(["input"], ["place", "from", "to"], drawBetween);
  on(["input"], ["from", "to"], drawWay);
  on(["click"], ["run"], run);
  return drawBetween().then(drawWay);
}

// ---- directions ---------------------------------------------------------------------------------------------------
const PRINCIPAL = Array.from({ length: facts.principal }, (_, i) => `direction${i}`);

const drawMoved = newest(async () => {
  const started = performance.now(), seed = seedOf("start"), amounts = PRINCIPAL.map(value);
  const said = amounts.map((amount, i) => amount && `principal direction ${i + 1} at ${amount}`);
  if ($("class")) {
    const chosen = $("class").selectedIndex, amount = value("towards");
    amounts.push(...facts.classes.map((_, i) => (i === chosen ? amount : 0)));
    said.push(amount && `more like ${$("class").value} at ${amount}`);
  }
  show($("moved"), await ask("move", { seed, amounts }));
  say("said-moved", [`Seed ${seed}`, ...said.filter(Boolean)].join(", "), started);
});

function directions() {
  on(["input"], [...PRINCIPAL, "towards", "class", "start"], drawMoved);
  on(["click"], ["zero"], () => {
    [...PRINCIPAL, "towards"].forEach((id) => $(id) && ($(id).value = 0));
    drawMoved();
  });
  return drawMoved();
}

// ---- the map ------------------------------------------------------------------------------------------------------
const PLAN = 800, names = new Map(facts.classes), [left, right, bottom, upper] = facts.extent;
const across = (x) => (PLAN * (x - left)) / (right - left), down = (y) => (PLAN * (y - upper)) / (bottom - upper);
const colour = (label) => (names.size <= facts.colours.length && facts.colours[label]) || facts.colours[0];
const plan = sized(document.createElement("canvas"), PLAN, PLAN); // kept, so that only the ring is drawn anew
let labels, spot = [0.72, 0.4];

function plot(points) {
  const context = plan.getContext("2d"), dot = Math.max(5, within(500 / Math.sqrt(points.length), 14)); // few are large
  context.globalAlpha = 0.7;
  for (let i = 0; i < points.length / 2; i++) {
    context.fillStyle = colour(labels?.[i]);
    context.fillRect(across(points[2 * i]) - dot / 2, down(points[2 * i + 1]) - dot / 2, dot, dot);
  }
  Object.assign(context, { globalAlpha: 1, font: "bold 28px system-ui, sans-serif", lineJoin: "round" });
  Object.assign(context, { textAlign: "center", textBaseline: "middle", fillStyle: "#000" });
  for (const [label, x, y] of facts.names) {
    const at = [names.get(label), across(x), down(y)]; // halos tell a name from the dots
    Object.assign(context, { strokeStyle: colour(label), lineWidth: 14 }).strokeText(...at);
    Object.assign(context, { strokeStyle: "#fff", lineWidth: 9 }).strokeText(...at);
    context.fillText(...at);
  }
}

const drawHere = newest(async () => {
  const started = performance.now(), context = $("map").getContext("2d"), [x, y] = spot;
  context.clearRect(0, 0, PLAN, PLAN);
  context.drawImage(plan, 0, 0);
  context.beginPath();
  context.arc(PLAN * x, PLAN * y, 14, 0, 2 * Math.PI);
  Object.assign(context, { strokeStyle: "#fff", lineWidth: 10 }).stroke();
  Object.assign(context, { strokeStyle: "#000", lineWidth: 4 }).stroke();
  const answer = await ask("point", { x: left + x * (right - left), y: upper + y * (bottom - upper) });
  const near = answer.nearest.slice(0, 3).map((i) => names.get(labels?.[i])).filter(Boolean);
  show($("here"), answer);
  say("said-map", near.length ? `Between dots of the classes ${near.join(", ")}` : "Between the nearest dots", started);
});

function map({ points, labels: given }) {
  labels = given;
  sized($("map"), PLAN, PLAN);
  plot(points);
  on(["pointerdown", "pointermove"], ["map"], (event) => {
    if (event.pointerType !== "mouse" && !event.buttons) return;
    spot = partsOf(event).map((part) => within(part, 1));
    drawHere();
  });
  on(["keydown"], ["map"], (event) => {
    if (!(event.key in ARROWS)) return;
    event.preventDefault(); // or the page scrolls
    spot = moved(spot, event.key, 0.02, 1);
    drawHere();
  });
  return drawHere();
}

// ---- a drawing, found ---------------------------------------------------------------------------------------------
const FIELD = 280, board = $("board").getContext("2d", { willReadFrequently: true });
let searches = 0, pooled;

function wipe() {
  searches++; // a search that goes on ends
  board.fillRect(0, 0, FIELD, FIELD);
}

function line(from, to) {
  searches++;
  Object.assign(board, { strokeStyle: "#fff", lineCap: "round", lineWidth: 24 }).beginPath();
  board.moveTo(...from);
  board.lineTo(...to);
  board.stroke();
}

// The drawing in few pixels, placed as the model's own images are: it has no code for a small 7 in a corner.
function placed() {
  const { data } = board.getImageData(0, 0, FIELD, FIELD), { place } = facts, box = [FIELD, FIELD, 0, 0];
  for (let i = 0; i < FIELD * FIELD; i++) {
    const x = i % FIELD, y = Math.floor(i / FIELD);
    if (data[4 * i] > 64) [x, y, -x - 1, -y - 1].forEach((end, k) => { box[k] = Math.min(box[k], end); });
  }
  const [x, y, width, height] = [box[0], box[1], -box[2] - box[0], -box[3] - box[1]];
  if (width <= 0) return null;
  const context = $("yours").getContext("2d"), scale = place.side / Math.max(width, height);
  context.fillRect(0, 0, side, side);
  context.imageSmoothingQuality = "high";
  const [left, top] = [width, height].map((length, axis) => place.middle[axis] - (length * scale) / 2);
  context.drawImage($("board"), x, y, width, height, left, top, width * scale, height * scale);
  const image = context.getImageData(0, 0, side, side), levels = image.data.filter((_, i) => i % 4 === 0);
  const factor = place.brightness / Math.max(1, ...levels), wanted = new Float32Array(side * side * facts.channels);
  levels.forEach((level, i) => {
    const grey = place.inverted ? 255 - factor * level : factor * level;
    wanted.fill(grey / 255, i * facts.channels, (i + 1) * facts.channels);
    image.data.fill(grey, 4 * i, 4 * i + 3);
  });
  context.putImageData(image, 0, 0);
  return wanted;
}

async function find() {
  const own = ++searches, wanted = placed();
  if (!wanted) return;
  await pooled;
  const started = performance.now();
  for (let question = "begin"; ; question = "descend") {
    const { done, step, loss, ...answer } = await ask(question, { wanted });
    if (own !== searches) return;
    show($("found"), answer);
    say("said-found", `Step ${step}, mean square of differences ${loss.toFixed(4)}`, started);
    if (done) return;
  }
}

function drawing() {
  let last = null, pen = [FIELD / 2, FIELD / 2], isDown = false;
  const place = (event) => partsOf(event).map((part) => FIELD * part);
  wipe();
  on(["click"], ["wipe"], wipe);
  on(["pointerdown", "pointermove"], ["board"], (event) => {
    if (event.type === "pointerdown") $("board").setPointerCapture(event.pointerId);
    else if (!last) return;
    line(last ?? place(event), place(event));
    last = place(event);
  });
  on(["pointerup", "pointercancel"], ["board"], () => { last = null; find(); });
  on(["keydown"], ["board"], (event) => {
    if (event.key in ARROWS) {
      const before = pen;
      pen = moved(pen, event.key, 8, FIELD);
      if (isDown) line(before, pen);
    } else if (event.key === " ") {
      isDown = !isDown;
      if (isDown) line(pen, pen);
      else find();
    } else if (event.key === "Escape") wipe();
    else return;
    event.preventDefault();
  });
}

async function start() {
  const text = atob($("model").textContent), file = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) file[i] = text.charCodeAt(i);
  const codes = await ask("load", { file, facts });
  $("still").hidden = true;
  $("play").hidden = false;
  ["between", "moved", "here", "yours", "found", "flow-x"].forEach((id) => sized($(id)));
  drawing();
  await samples();
  document.documentElement.dataset.ready = Math.round(performance.now()); // ms from the page's opening
  await Promise.all([path(), directions(), map(codes)]);
  pooled = (async () => { for (let i = 0; i < 48; i++) await ask("grow", { count: 4 }); })();
}

start();
