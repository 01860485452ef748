// The worker of the page: torch's noise, the networks T and G forwards and backwards, and the answers that the page
// asks for. Images are channel-last here, [n, S, S, C]; the page's maker has turned the weights accordingly.
"use strict";

// ---- noise: the library's, number by number, for every seed -------------------------------------------------------
// The first two words of SHA-256 of a text of less than 56 bytes. Its constants are roots of primes.
function digest(text) {
  const words = new Uint32Array(64), primes = [];
  [...new TextEncoder().encode(text), 0x80].forEach((byte, i) => { words[i >> 2] |= byte << (24 - 8 * (i % 4)); });
  words[15] = 8 * text.length;
  for (let n = 2; primes.length < 64; n++) if (primes.every((prime) => n % prime)) primes.push(n);
  const fraction = (root) => (root % 1) * 2 ** 32;
  const rounds = Uint32Array.from(primes, (prime) => fraction(Math.cbrt(prime)));
  const start = Uint32Array.from(primes.slice(0, 8), (prime) => fraction(Math.sqrt(prime)));
  const turn = (x, by) => (x >>> by) | (x << (32 - by));
  let [a, b, c, d, e, f, g, h] = start;
  for (let i = 0; i < 64; i++) {
    if (i >= 16) {
      const x = words[i - 15], y = words[i - 2];
      words[i] = words[i - 16] + (turn(x, 7) ^ turn(x, 18) ^ (x >>> 3))
        + words[i - 7] + (turn(y, 17) ^ turn(y, 19) ^ (y >>> 10));
    }
    const one = h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + rounds[i] + words[i];
    const two = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    [a, b, c, d, e, f, g, h] = [(one + two) | 0, a, b, c, (d + one) | 0, e, f, g];
  }
  return [(start[0] + a) >>> 0, (start[1] + b) >>> 0];
}

// The Mersenne twister of Matsumoto and Nishimura (1998), as torch starts it from 32 bits.
function twister(seed) {
  const state = new Uint32Array(624);
  state[0] = seed;
  for (let i = 1; i < 624; i++) state[i] = Math.imul(1812433253, state[i - 1] ^ (state[i - 1] >>> 30)) + i;
  let k = 0;
  return () => {
    let y = (state[k] & 0x80000000) | (state[(k + 1) % 624] & 0x7fffffff);
    y = state[k] = state[(k + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    k = (k + 1) % 624;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  };
}

// e ~ N(0, I), [count, size]: seed and purpose as in `sampling.draw_noise`, then Box and Muller's transform of runs of
// 16 numbers, the eight angles after the eight radii, as torch has it from 16 numbers on.
function drawNoise(seed, count, size) {
  const [first, second] = digest(`noise:${seed}`), random = twister(((first << 24) | (second >>> 8)) >>> 0);
  const e = new Float32Array(16 * Math.ceil((count * size) / 16));
  for (let i = 0; i < e.length; i++) e[i] = (random() & 0xffffff) / 2 ** 24;
  for (let run = 0; run < e.length; run += 16) {
    for (let i = run; i < run + 8; i++) {
      const radius = Math.sqrt(-2 * Math.log(1 - e[i])), angle = 2 * Math.PI * e[i + 8];
      [e[i], e[i + 8]] = [radius * Math.cos(angle), radius * Math.sin(angle)];
    }
  }
  return e.subarray(0, count * size);
}

// ---- the file: safetensors, gzipped, as float32 -------------------------------------------------------------------
const half = (bits) => {
  const exponent = (bits >> 10) & 31, part = bits & 1023;
  return (bits & 0x8000 ? -1 : 1) * (exponent ? 2 ** (exponent - 25) * (1024 + part) : 2 ** -24 * part);
};
const KINDS = {
  F32: (bytes) => new Float32Array(bytes),
  F16: (bytes) => new Float32Array(new Uint16Array(bytes)).map(half),
  I8: (bytes) => new Float32Array(new Int8Array(bytes)),
};

async function readTensors(zipped) {
  const stream = new Blob([zipped]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = await new Response(stream).arrayBuffer();
  const start = 8 + new DataView(bytes).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 8, start - 8)));
  const tensors = {};
  for (const [name, { dtype, shape, data_offsets: [from, to] }] of Object.entries(header)) {
    tensors[name] = { shape, values: KINDS[dtype](bytes.slice(start + from, start + to)) };
  }
  return tensors;
}

// ---- networks -----------------------------------------------------------------------------------------------------
// Rows times rows, out [n, m] = a [n, k] b [m, k]^T, four by four at once: each number that is read is used four times,
// which is much faster than one by one. The last block overlaps the one before it.
function multiply(a, b, n, m, k) {
  const out = new Float32Array(n * m);
  for (let j = 0; j < m; j += 4) {
    const column = Math.max(0, Math.min(j, m - 4));
    if (n < 4) for (let i = 0; i < n; i++) strip(a, b, m, k, i, column, out);
    else for (let i = 0; i < n; i += 4) tile(a, b, m, k, Math.min(i, n - 4), column, out);
  }
  return out;
}

function tile(a, b, m, k, i, j, out) {
  const i0 = i * k, i1 = i0 + k, i2 = i1 + k, i3 = i2 + k, j0 = j * k, j1 = j0 + k, j2 = j1 + k, j3 = j2 + k;
  let s00 = 0, s01 = 0, s02 = 0, s03 = 0, s10 = 0, s11 = 0, s12 = 0, s13 = 0;
  let s20 = 0, s21 = 0, s22 = 0, s23 = 0, s30 = 0, s31 = 0, s32 = 0, s33 = 0;
  for (let p = 0; p < k; p++) {
    const x0 = a[i0 + p], x1 = a[i1 + p], x2 = a[i2 + p], x3 = a[i3 + p];
    const y0 = b[j0 + p], y1 = b[j1 + p], y2 = b[j2 + p], y3 = b[j3 + p];
    s00 += x0 * y0; s01 += x0 * y1; s02 += x0 * y2; s03 += x0 * y3;
    s10 += x1 * y0; s11 += x1 * y1; s12 += x1 * y2; s13 += x1 * y3;
    s20 += x2 * y0; s21 += x2 * y1; s22 += x2 * y2; s23 += x2 * y3;
    s30 += x3 * y0; s31 += x3 * y1; s32 += x3 * y2; s33 += x3 * y3;
  }
  let o = i * m + j;
  out[o] = s00; out[o + 1] = s01; out[o + 2] = s02; out[o + 3] = s03; o += m;
  out[o] = s10; out[o + 1] = s11; out[o + 2] = s12; out[o + 3] = s13; o += m;
  out[o] = s20; out[o + 1] = s21; out[o + 2] = s22; out[o + 3] = s23; o += m;
  out[o] = s30; out[o + 1] = s31; out[o + 2] = s32; out[o + 3] = s33;
}

function strip(a, b, m, k, i, j, out) {
  const i0 = i * k, j0 = j * k, j1 = j0 + k, j2 = j1 + k, j3 = j2 + k, o = i * m + j;
  let s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  for (let p = 0; p < k; p++) {
    const x = a[i0 + p];
    s0 += x * b[j0 + p]; s1 += x * b[j1 + p]; s2 += x * b[j2 + p]; s3 += x * b[j3 + p];
  }
  out[o] = s0; out[o + 1] = s1; out[o + 2] = s2; out[o + 3] = s3;
}

const LEAK = { none: 1, relu: 0, leaky: 0.2 }; // what an activation multiplies negative numbers by

// y = act(scale * (W x) + shift): BatchNorm and bias lie in scale and shift. W is [out, in], or for a transposed
// convolution of kernel 4 and stride 2 [16 out, in], the 16 taps of its kernel one after the other, and `side` is the
// height and width of what comes in. Each layer is a function of x, n times [in], that gives y and `back`, from the
// loss's gradient by y to that by x.
function makeLayer(name, kind, side) {
  const [W, { values: scale }, { values: shift }] = ["weight", "scale", "shift"].map((it) => tensors[`${name}.${it}`]);
  const [rows, wide] = W.shape, outs = scale.length, cells = side ** 2 || 1, leak = LEAK[kind];
  const act = kind === "sigmoid" ? (v) => 1 / (1 + Math.exp(-v)) : (v) => (v > 0 ? v : leak * v);
  const slope = kind === "sigmoid" ? (v) => v * (1 - v) : (v) => (v > 0 ? 1 : leak); // by what act gave
  let turned = null; // W^T, made when it is first needed
  return (x, n) => {
    let y = multiply(x, W.values, n * cells, rows, wide);
    if (side) y = overlap(y, n, side, outs);
    for (let i = 0; i < y.length; i++) y[i] = act(scale[i % outs] * y[i] + shift[i % outs]);
    const back = (gradient) => {
      let inner = gradient.map((g, i) => g * slope(y[i]) * scale[i % outs]);
      if (side) inner = overlap(inner, n, side, outs, true);
      turned ||= W.values.map((_, i) => W.values[(i % rows) * wide + Math.floor(i / rows)]);
      return multiply(inner, turned, n * cells, wide, rows);
    };
    return { y, back };
  };
}

// The products of a doubling [n, S, S, 16, out], added up in the pixels [n, 2 S, 2 S, out] that they fall on; or the
// other way, as its gradient goes: of each product the pixel.
function overlap(values, n, side, outs, isBack) {
  const out = new Float32Array(n * side * side * outs * (isBack ? 16 : 4));
  for (let i = 0; i < 16 * n * side * side; i++) {
    const tap = i % 16, cell = (i - tap) / 16, column = cell % side, row = Math.floor(cell / side); // of all n images
    const x = 2 * column + (tap % 4) - 1, y = 2 * (row % side) + (tap >> 2) - 1, first = 2 * (row - (row % side));
    if (x < 0 || y < 0 || x >= 2 * side || y >= 2 * side) continue;
    const product = i * outs, pixel = ((first + y) * 2 * side + x) * outs;
    for (let c = 0; c < outs; c++) {
      if (isBack) out[product + c] = values[pixel + c];
      else out[pixel + c] += values[product + c];
    }
  }
  return out;
}

// On the unit sphere. As in the library the norm counts as a constant: the gradient is divided by it and no more.
function unit(x, n) {
  const size = x.length / n, y = new Float32Array(x.length), norms = new Float32Array(n);
  for (let i = 0; i < n; i++) {
    norms[i] = Math.max(Math.hypot(...x.subarray(i * size, (i + 1) * size)), 1e-12);
    for (let j = i * size; j < (i + 1) * size; j++) y[j] = x[j] / norms[i];
  }
  return { y, back: (gradient) => gradient.map((g, j) => g / norms[Math.floor(j / size)]) };
}

// Layers one after the other, as one that takes and gives the same.
const chain = (layers) => (x, n) => layers.reduce((before, layer) => {
  const { y, back } = layer(before.y, n);
  return { y, back: (gradient) => before.back(back(gradient)) };
}, { y: x, back: (gradient) => gradient });

// ---- what the page asks for ---------------------------------------------------------------------------------------
let facts, tensors, T, G;

async function load({ file, facts: given }) {
  [facts, tensors] = [given, await readTensors(file)];
  const layer = ({ name, act, side }) => (name ? makeLayer(name, act, side) : unit);
  [T, G] = [facts.T, facts.G].map((specs) => chain(specs.map(layer)));
  return { points: tensors.points.values, labels: tensors.labels?.values };
}

// Grey levels of images in [0, 1], as the page's canvases take them; a half is rounded to even, as torch does.
function drawn(images) {
  const { channels } = facts, pixels = new Uint8ClampedArray((images.length / channels) * 4).fill(255);
  for (let i = 0; i < pixels.length / 4; i++) {
    for (let c = 0; c < 3; c++) pixels[4 * i + c] = 255 * images[i * channels + (channels === 3 ? c : 0)];
  }
  return pixels;
}

// Images first to last - 1 of a seed, and the e and z of the first.
function samples({ seed, first, last }) {
  const size = facts.noise, e = drawNoise(seed, last, size).slice(first * size), z = T(e, last - first).y;
  return { pixels: drawn(G(z, last - first).y), e: e.slice(0, size), z: z.slice(0, facts.latent) };
}

// Images on the great circle between the noises of two seeds, t from 0 to 1, as `sampling.interpolate`.
function path({ from, to, steps }) {
  const ends = [from, to].map((seed) => drawNoise(seed, 1, facts.noise)), lengths = ends.map((e) => Math.hypot(...e));
  const [a, b] = ends.map((e, i) => e.map((value) => value / lengths[i]));
  const cosine = a.reduce((sum, value, i) => sum + value * b[i], 0);
  const angle = Math.acos(Math.min(1 - 1e-6, Math.max(-1 + 1e-6, cosine)));
  const e = steps.flatMap((t) => {
    const length = ((1 - t) * lengths[0] + t * lengths[1]) / Math.sin(angle);
    return Array.from(a, (value, i) => length * (Math.sin((1 - t) * angle) * value + Math.sin(t * angle) * b[i]));
  });
  return { pixels: drawn(G(T(Float32Array.from(e), steps.length).y, steps.length).y) };
}

// The first image of a seed, moved along directions: unit(unit(z) + sum_i a_i s_i v_i), as `latent_directions.move`.
function move({ seed, amounts }) {
  const z = unit(T(drawNoise(seed, 1, facts.noise), 1).y, 1).y, { values } = tensors.directions;
  amounts.forEach((amount, i) => { for (let d = 0; d < z.length; d++) z[d] += amount * values[i * z.length + d]; });
  return { pixels: drawn(G(z, 1).y) };
}

// What is drawn at a point of the map, as `LatentMap.lift`: a mean of the codes that fall nearest, of which about three
// count, and none at the ninth; and those codes' numbers, nearest first.
function point({ x, y }) {
  const { values: points } = tensors.points, { values: latents } = tensors.latents, size = facts.latent;
  const far = new Float64Array(points.length / 2).map((_, i) => Math.hypot(points[2 * i] - x, points[2 * i + 1] - y));
  const reach = Math.max(far.slice().sort()[Math.min(8, far.length - 1)], 1e-38), z = new Float32Array(size);
  const nearest = [...far.keys()].filter((i) => far[i] <= reach).sort((i, j) => far[i] - far[j]);
  for (const i of nearest) {
    const weight = Math.exp(-8 * (far[i] / reach) ** 2) - Math.exp(-8) + 1e-7; // a Gaussian of width 1 / 4
    unit(latents.subarray(i * size, (i + 1) * size), 1).y.forEach((value, d) => { z[d] += weight * value; });
  }
  return { pixels: drawn(G(unit(z, 1).y, 1).y), nearest };
}

// ---- Eq. 6: the noise that draws a given image, then the code ------------------------------------------------------
// By squared differences of pixels in place of the training's loss, whose network is much larger than G. The worse half
// of the starts is given up twice, to save time. What T does not reach, the code may: the last steps move that instead.
const STARTS = 4, HALVED = [6, 12];
const NOISE = { through: (x, n) => T(x, n), steps: 36, rate: 0.25 }, CODE = { through: unit, steps: 24, rate: 0.1 };
const startAt = (x) => ({ x, mean: new Float32Array(x.length), square: new Float32Array(x.length) });
const pool = { e: new Float32Array(0), images: new Float32Array(0) }; // where a search may start; grows while idle
let search;

function grow({ count }) {
  const size = facts.noise, known = pool.e.length / size, e = drawNoise(0, known + count, size);
  const fresh = G(T(e.slice(known * size), count).y, count).y;
  const images = new Float32Array(pool.images.length + fresh.length);
  images.set(pool.images);
  images.set(fresh, pool.images.length);
  Object.assign(pool, { e, images });
}

// Mean squares of the differences of n images from the wanted one, and half of their gradient, but for the mean.
function compare(images, wanted, n) {
  const gradient = images.map((value, i) => value - wanted[i % wanted.length]), losses = new Float64Array(n);
  gradient.forEach((value, i) => { losses[Math.floor(i / wanted.length)] += value ** 2 / wanted.length; });
  return { gradient, losses, order: [...losses.keys()].sort((i, j) => losses[i] - losses[j]) };
}

function begin({ wanted }) {
  const { noise: size } = facts, { order } = compare(pool.images, wanted, pool.images.length / wanted.length);
  const starts = order.slice(0, STARTS).map((i) => startAt(pool.e.slice(i * size, (i + 1) * size)));
  search = { wanted, starts, phase: NOISE, step: 0, told: 0, loss: Infinity };
  return descend();
}

// One step of Adam (Kingma and Ba, 2015) for every start, its size falling to zero; the best image so far is shown.
function descend() {
  const { starts, wanted, phase } = search, n = starts.length;
  const z = phase.through(Float32Array.from(starts.flatMap(({ x }) => [...x])), n), images = G(z.y, n);
  const { gradient, losses, order, order: [at] } = compare(images.y, wanted, n), slopes = z.back(images.back(gradient));
  const top = (y) => y.slice((at * y.length) / n, ((at + 1) * y.length) / n);
  if (losses[at] < search.loss) Object.assign(search, { loss: losses[at], image: top(images.y) });
  const rate = 0.5 * phase.rate * (1 + Math.cos((Math.PI * search.step) / phase.steps)), step = ++search.step;
  starts.forEach(({ x, mean, square }, i) => {
    slopes.subarray(i * x.length, (i + 1) * x.length).forEach((g, d) => {
      mean[d] += 0.1 * (g - mean[d]);
      square[d] += 0.001 * (g * g - square[d]);
      x[d] -= (rate * mean[d]) / (1 - 0.9 ** step) / (Math.sqrt(square[d] / (1 - 0.999 ** step)) + 1e-8);
    });
  });
  if (n > 1 && HALVED.includes(step)) search.starts = order.slice(0, n / 2).map((i) => starts[i]);
  if (phase === NOISE && step >= phase.steps) search = { ...search, phase: CODE, step: 0, starts: [startAt(top(z.y))] };
  return { pixels: drawn(search.image), loss: search.loss, step: search.told++, done: step > phase.steps };
}

const ANSWERS = { load, samples, path, move, point, grow, begin, descend };
onmessage = async ({ data: { id, question, given } }) => postMessage({ id, answer: await ANSWERS[question](given) });
