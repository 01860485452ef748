// A picture with words for those who do not see it. Where it asks for a point, a click, a drag or the arrow keys
// choose one; a ring shows where it is.
const STEP = 0.02, LEAP = 0.1; // of the picture's side: an arrow key, and one with Shift
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function element(name, className, parent) {
  const made = document.createElement(name);
  made.className = className;
  parent.append(made);
  return made;
}

function showing(model, image, caption) {
  let address = null;
  return () => {
    const last = address;
    address = URL.createObjectURL(new Blob([model.get("value")], { type: "image/png" }));
    // The old picture is given up once the new one is there: no flicker, and nothing piles up.
    image.onload = () => {
      if (last) URL.revokeObjectURL(last);
      const shrinks = image.naturalWidth > model.get("width"); // without smoothing rows would be missing
      image.style.imageRendering = shrinks || model.get("smooth") ? "auto" : "pixelated";
    };
    image.src = address;
    image.alt = model.get("alt");
    image.style.width = `${model.get("width")}px`;
    caption.textContent = model.get("caption");
  };
}

function asking(model, frame) {
  const ring = element("div", "glann-ring", frame);
  const choose = (x, y) => {
    const within = (part) => Math.min(1, Math.max(0, part));
    model.set("point", [within(x), within(y)]);
    model.save_changes();
  };
  const place = () => {
    const [x, y] = model.get("point");
    ring.style.left = `${100 * x}%`;
    ring.style.top = `${100 * y}%`;
  };
  const follow = (event) => {
    const box = frame.getBoundingClientRect();
    choose((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  };
  frame.classList.add("glann-asks");
  frame.tabIndex = 0;
  frame.dataset.lmSuppressShortcuts = "true"; // JupyterLab takes the arrow keys for its cells otherwise
  frame.addEventListener("pointerdown", (event) => {
    frame.setPointerCapture(event.pointerId);
    frame.focus();
    follow(event);
    event.preventDefault(); // else the browser drags the picture away
  });
  frame.addEventListener("pointermove", (event) => event.buttons && follow(event));
  frame.addEventListener("keydown", (event) => {
    if (!(event.key in ARROWS)) return;
    const [x, y] = model.get("point"), far = event.shiftKey ? LEAP : STEP;
    choose(x + far * ARROWS[event.key][0], y + far * ARROWS[event.key][1]);
    event.preventDefault(); // else the page scrolls
  });
  model.on("change:point", place);
  place();
}

function render({ model, el }) {
  const figure = element("figure", "glann-picture", el);
  const frame = element("div", "glann-frame", figure);
  const image = element("img", "", frame);
  const caption = element("figcaption", "", figure);
  image.draggable = false;
  const show = showing(model, image, caption);
  model.on("change:value change:alt change:caption change:width change:smooth", show);
  show();
  if (model.get("asks")) asking(model, frame);
}

export default { render };
