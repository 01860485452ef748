// A field to draw in: by pointer, or by keys: arrows move the pen, the space bar puts it down and lifts it, Escape
// wipes the field. Strokes appear at once; the whole drawing is sent when one ends.
const STEP = 6; // px that an arrow key moves the pen
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const HELP = "Draw with the mouse or a finger. By keys: arrows move the pen, space puts it down or lifts it, Escape wipes.";

function blackboard(model, el) {
  const canvas = document.createElement("canvas");
  canvas.className = "glann-sketch";
  canvas.width = canvas.height = model.get("side");
  canvas.tabIndex = 0;
  canvas.title = HELP;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", `${model.get("label")}. ${HELP}`);
  canvas.dataset.lmSuppressShortcuts = "true"; // JupyterLab takes the keys for its cells otherwise
  el.append(canvas);
  return canvas;
}

function drawing(model, canvas) {
  const context = canvas.getContext("2d");
  const wipe = () => {
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
  };
  const line = (from, to) => {
    context.strokeStyle = "#fff";
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = model.get("brush");
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    context.stroke();
  };
  const send = (value) => {
    model.set("value", value);
    model.save_changes();
  };
  const sendDrawing = () =>
    canvas.toBlob(async (blob) => send(new DataView(await blob.arrayBuffer())), "image/png");
  wipe();
  return { wipe, line, sendDrawing, sendNothing: () => send(new DataView(new ArrayBuffer(0))) };
}

function followPointer(canvas, { line, sendDrawing }) {
  let last = null;
  const place = (event) => {
    const box = canvas.getBoundingClientRect(), scale = canvas.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    canvas.focus();
    last = place(event);
    line(last, last); // a dot
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last) return;
    line(last, place(event));
    last = place(event);
  });
  const end = () => {
    if (last) sendDrawing();
    last = null;
  };
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
}

function followKeys(canvas, { line, wipe, sendDrawing, sendNothing }) {
  let pen = [canvas.width / 2, canvas.height / 2], down = false;
  const within = (part) => Math.min(canvas.width, Math.max(0, part));
  canvas.addEventListener("keydown", (event) => {
    if (event.key in ARROWS) {
      const next = pen.map((part, axis) => within(part + STEP * ARROWS[event.key][axis]));
      if (down) line(pen, next);
      pen = next;
    } else if (event.key === " ") {
      down = !down;
      if (down) line(pen, pen);
      else sendDrawing();
    } else if (event.key === "Escape") {
      wipe();
      sendNothing();
    } else {
      return;
    }
    event.preventDefault();
  });
}

function render({ model, el }) {
  const canvas = blackboard(model, el);
  const board = drawing(model, canvas);
  followPointer(canvas, board);
  followKeys(canvas, board);
  model.on("change:value", () => model.get("value").byteLength || board.wipe()); // wiped from outside
}

export default { render };
