// Lines over time or epochs, on a canvas that fits its box, in the page's own colours.

const PAD = { left: 46, right: 16, top: 16, bottom: 30 };

function ticks(low, high, most) {
  const rough = (high - low) / most || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-6; at += step) found.push(Number(at.toPrecision(10)));
  return found;
}

/**
 * Draw a line with its band.
 * rows: [x, y, low, high], where low and high may be null. options: { x: [from, to], label(x), bare }.
 */
export function chart(canvas, rows, options) {
  const [width, height, ratio] = [canvas.clientWidth, canvas.clientHeight, devicePixelRatio];
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const context = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  const colour = (name) => style.getPropertyValue(name).trim();
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  if (!rows.length || width < 80) return null;
  const pad = options.bare ? { left: 3, right: 3, top: 6, bottom: 6 } : PAD;
  const [from, to] = options.x ?? [rows[0][0], rows.at(-1)[0]];
  const top = Math.max(...rows.map((row) => Math.max(row[1], row[3] ?? 0)), options.bare ? 1e-9 : 1) * 1.08;
  const px = (x) => pad.left + ((x - from) / (to - from || 1)) * (width - pad.left - pad.right);
  const py = (y) => height - pad.bottom - (Math.max(y, 0) / top) * (height - pad.top - pad.bottom);
  if (!options.bare) axes(context, { px, py, from, to, top, width, height, pad, options, colour });
  band(context, rows, px, py, colour("--accent"));
  line(context, rows, px, py, colour("--accent"));
  return { px, py, pad };
}

function axes(context, { px, py, from, to, top, width, height, pad, options, colour }) {
  context.font = "12px system-ui, sans-serif";
  context.fillStyle = colour("--soft");
  context.strokeStyle = colour("--line");
  context.lineWidth = 1;
  context.textAlign = "right";
  for (const value of ticks(0, top, Math.max(2, height / 70)).filter((tick) => top > 6 || Number.isInteger(tick))) {
    const y = Math.round(py(value)) + 0.5;
    context.beginPath();
    context.moveTo(pad.left, y);
    context.lineTo(width - pad.right, y);
    context.stroke();
    context.fillText(value.toLocaleString("en"), pad.left - 8, y + 4);
  }
  context.textAlign = "center";
  for (const value of ticks(from, to, Math.max(2, width / 120))) context.fillText(options.label(value), px(value), height - 9);
}

function band(context, rows, px, py, colour) {
  const known = rows.filter((row) => row[2] !== null && row[2] !== undefined);
  if (known.length < 2) return;
  context.beginPath();
  for (const row of known) context.lineTo(px(row[0]), py(row[3]));
  for (const row of known.toReversed()) context.lineTo(px(row[0]), py(row[2]));
  context.globalAlpha = 0.16;
  context.fillStyle = colour;
  context.fill();
  context.globalAlpha = 1;
}

function line(context, rows, px, py, colour) {
  context.beginPath();
  for (const row of rows) context.lineTo(px(row[0]), py(row[1]));
  context.lineJoin = "round";
  context.lineWidth = 2.2;
  context.strokeStyle = colour;
  context.stroke();
  const last = rows.at(-1);
  context.beginPath();
  context.arc(px(last[0]), py(last[1]), 3.4, 0, 7);
  context.fillStyle = colour;
  context.fill();
}
